"""cluster/slurm/tune.sbatch, on a real Slurm (Debian's slurm-wlm and munge), also over several machines."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.helpers.machines import SHARED, put_checkout, with_machines
from tests.helpers.search_process import Folder, report
from tests.helpers.small_space import small_space

SBATCH = ROOT / "cluster" / "slurm" / "tune.sbatch"
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
def checkout(tmp_path: Path, tiny_dataset: Path) -> Path:
    """Of this code, with a small study and its data, in a folder that all machines share."""
    folder = put_checkout(tmp_path / "shared")
    shutil.copytree(tiny_dataset, folder / "data")
    (folder / "tiny.yaml").write_text(SPACE)
    return folder


@pytest.fixture
def on_slurm(checkout: Path) -> Callable[..., subprocess.CompletedProcess]:
    """on_slurm("a shell script", nodes=2): run in the checkout, where sbatch and srun reach a Slurm of its own."""

    def run(script: str, nodes: int = 1) -> subprocess.CompletedProcess:
        path = f"{os.environ['PATH']}:/usr/sbin"
        token = f"{SHARED}/home/token"
        command = [
            str(ROOT / "tests" / "helpers" / "slurm.sh"),
            str(nodes),
            "bash",
            "-c",
            f"cd {SHARED}/hearai\n{script}",
        ]
        return with_machines(
            nodes, checkout.parent, command, PATH=path, PYTHONPATH=str(ROOT), RAY_AUTH_TOKEN_PATH=token
        )

    found = [shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("slurmctld", "slurmd", "munged")]
    if not all(found):
        pytest.skip("no Slurm here; on Debian: apt-get install slurm-wlm munge")
    tried = run("srun true")
    if tried.returncode:
        pytest.skip(f"Slurm does not start on this machine: {(tried.stdout + tried.stderr)[-500:]}")
    return run


SUBMIT = """
umask 022
ended() { ! scontrol show --oneliner job "$1" | grep -Eq 'JobState=(PENDING|CONFIGURING|RUNNING|COMPLETING)'; }
submit() {
    job=$(sbatch --parsable --output=log-%j "$@")
    until ended "$job"; do sleep 0.3; done
    scontrol show --oneliner job "$job" | grep -o ' ExitCode=[0-9]*'
}
"""
JOBS = f"""{SUBMIT}
submit --nodes=1 cluster/slurm/tune.sbatch --space tiny.yaml --data-path data
submit --nodes=1 cluster/slurm/tune.sbatch --space nowhere.yaml --data-path data
export RAY_START_HOOK=no.such.hook
submit --nodes=1 cluster/slurm/tune.sbatch --space tiny.yaml --data-path data --name never
echo "left: $(/mnt/on node1 find /tmp -maxdepth 1 -name 'hearai-[123]')"
"""


def test_a_search_as_a_job_a_wrong_one_and_one_whose_ray_does_not_start(
    on_slurm: Callable[..., subprocess.CompletedProcess], checkout: Path
) -> None:
    done = on_slurm(JOBS)
    logs = {number: (checkout / f"log-{number}").read_text() for number in (1, 2, 3)}
    on_report = re.findall(r"ExitCode=(\d+)", done.stdout)
    assert on_report == ["0", "2", "1"], done.stdout + done.stderr + "\n".join(logs.values())

    summary = json.loads((checkout / "runs" / "tiny" / "summary.json").read_text())
    assert summary["trials"]["complete"] == 2, logs[1]
    assert (checkout / "hearai-1.exit").read_text() == "0\n"
    assert (checkout / "hearai-2.exit").read_text() == "2\n" and "nowhere.yaml" in logs[2]
    assert not (checkout / "hearai-3.exit").exists() and "the search never began" in logs[3]
    assert not (checkout / "runs" / "never").exists()

    token = checkout.parent / "home" / "token"
    assert token.stat().st_mode & 0o777 == 0o600 and token.parent.stat().st_mode & 0o777 == 0o700
    assert not any(token.read_text() in log for log in logs.values())
    assert "left: \n" in done.stdout, "nothing stays on the node's disk"


LOSES_A_NODE = f"""{SUBMIT}
submit --nodes=3 --no-requeue cluster/slurm/tune.sbatch --space tiny.yaml --data-path data \\
    --trials 3 --set train_parameters.epochs=300 >told &
trained() {{ grep -l "epoch 5:" runs/tiny/trials/*/train.log 2>/dev/null | wc -l; }}
until [ "$(trained)" = 3 ]; do
    sleep 0.3
    kill -0 $! || exit 98
done
/mnt/power-off "$(grep -ho 'node[23]' runs/tiny/trials/*/attempt | head -n 1)"
wait
cat told
"""


@pytest.mark.slow
def test_a_search_over_three_nodes_outlives_one_of_them(
    on_slurm: Callable[..., subprocess.CompletedProcess], checkout: Path
) -> None:
    done = on_slurm(LOSES_A_NODE, nodes=3)
    log = (checkout / "log-1").read_text() if (checkout / "log-1").exists() else ""
    assert re.findall(r"ExitCode=(\d+)", done.stdout) == ["0"], done.stdout + done.stderr + log
    assert "3 nodes: all see the storage and the same 12 clips" in log
    assert "lost its machine: it goes on from its last epoch elsewhere" in log
    folder = Folder(checkout / "runs" / "tiny")
    folder.check_whole(3, 300)
    report(
        "node of a Slurm job loses power",
        "its trial goes on on another node, and the job ends as it would have",
        finished_epochs_lost=folder.epochs_lost(),
        exit_code=0,
    )
