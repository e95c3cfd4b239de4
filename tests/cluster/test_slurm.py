"""cluster/slurm/tune.sbatch, on a real Slurm of one node (Debian's slurm-wlm and munge)."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_space import small_space

ROOT = Path(__file__).parents[2]
SBATCH = ROOT / "cluster" / "slurm" / "tune.sbatch"
NODE = Path(__file__).with_name("slurm_node.sh")
UNSHARE = ["unshare", "--pid", "--net", "--mount", "--fork", "--kill-child", "--mount-proc"]
SPACE = small_space(trials=2, epochs=2)


def test_the_script_is_sound_shell_and_hands_its_options_where_they_belong() -> None:
    text = SBATCH.read_text()
    subprocess.run(["bash", "-n", str(SBATCH)], check=True)
    script = re.search(r"\nnode='\n(.*?)'\n", text, re.S)
    assert script
    subprocess.run(["bash", "-n"], input=script[1].replace("'\\''", "'"), text=True, check=True)
    before, entry = re.search(r"ray symmetric-run (.*?)--\s(.*)", script[1].replace("\\\n", ""), re.S).groups()
    assert entry.startswith("bash -c"), "what runs on the head stands after the separator"
    ray = Path(sys.executable).parent / "ray"
    known = "".join(
        subprocess.run([str(ray), command, "--help"], capture_output=True, text=True, check=True).stdout
        for command in ("symmetric-run", "start")
    )
    options = re.findall(r"--[a-z-]+", before)
    assert {"--address", "--min-nodes", "--num-cpus"} == set(options)
    for option in options:
        assert re.search(rf"{option}\b", known), option
    for refused in ("--head", "--node-ip-address", "--port", "--block"):
        assert refused not in options


def test_a_job_shares_no_node_and_comes_back_after_a_preemption() -> None:
    asked = re.findall(r"^#SBATCH (\S+)", SBATCH.read_text(), re.M)
    for option in ("--exclusive", "--requeue", "--no-kill", "--open-mode=append", "--ntasks-per-node=1"):
        assert option in asked


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since sockets lie below it."""
    path = Path(tempfile.mkdtemp(prefix="sl", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def on_slurm(folder: Path) -> Callable[..., subprocess.CompletedProcess]:
    """on_slurm("a shell script", cwd, environment): run where sbatch and srun reach a Slurm of its own."""

    def run(script: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        return subprocess.run(
            [*UNSHARE, str(NODE), tempfile.mkdtemp(dir=folder), "bash", "-c", script],
            cwd=cwd,
            env={**inherited, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    missing = [
        name
        for name in ("slurmctld", "slurmd", "munged", "unshare", "ip")
        if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    ]
    if missing or os.geteuid() != 0:
        pytest.skip(f"a Slurm needs {', '.join(missing) or 'root'}; on Debian: apt-get install slurm-wlm munge")
    tried = run("srun true", folder)
    if tried.returncode:
        pytest.skip(f"Slurm does not start on this machine: {(tried.stdout + tried.stderr)[-500:]}")
    return run


JOBS = """
umask 022
submit() {
    job=$(sbatch --parsable --nodes=1 --output=log-%j cluster/slurm/tune.sbatch "$@")
    while scontrol show --oneliner job "$job" | grep -Eq 'JobState=(PENDING|RUNNING|COMPLETING)'; do sleep 0.3; done
    scontrol show --oneliner job "$job" | grep -o ' ExitCode=[0-9]*'
}
submit --space tiny.yaml --data-path data
submit --space nowhere.yaml --data-path data
export RAY_START_HOOK=no.such.hook
submit --space tiny.yaml --data-path data --name never
"""


def test_a_search_as_a_job_a_wrong_one_and_one_whose_ray_does_not_start(
    on_slurm: Callable[..., subprocess.CompletedProcess], tiny_dataset: Path, tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("cluster", "experiments", "hearai", "search_spaces"):
        (checkout / name).symlink_to(ROOT / name)
    (checkout / "data").symlink_to(tiny_dataset)
    (checkout / "tiny.yaml").write_text(SPACE)
    token = tmp_path / "home" / "token"
    done = on_slurm(
        JOBS,
        checkout,
        HEARAI_CACHE=str(tmp_path / "cache"),
        RAY_AUTH_TOKEN_PATH=str(token),
    )
    logs = {number: (checkout / f"log-{number}").read_text() for number in (1, 2, 3)}
    told = re.findall(r"ExitCode=(\d+)", done.stdout)
    assert told == ["0", "2", "1"], done.stdout + done.stderr + "\n".join(logs.values())

    summary = json.loads((checkout / "runs" / "tiny" / "summary.json").read_text())
    assert summary["trials"]["complete"] == 2, logs[1]
    assert (checkout / "hearai-1.exit").read_text() == "0\n"
    assert (checkout / "hearai-2.exit").read_text() == "2\n" and "nowhere.yaml" in logs[2]
    assert not (checkout / "hearai-3.exit").exists() and "the search never began" in logs[3]
    assert not (checkout / "runs" / "never").exists()

    assert token.stat().st_mode & 0o777 == 0o600 and token.parent.stat().st_mode & 0o777 == 0o700
    assert not any(token.read_text() in log for log in logs.values())
    assert not list(Path("/tmp").glob("hearai-[123]")), "nothing is left on the node's disk"
