"""cluster/slurm/tune.sbatch on a real Slurm (Debian's slurm-wlm and munge), with one node and several."""

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
from tests.helpers.machines import SHARED, link_checkout, run_with_machines
from tests.helpers.search_process import StudyFolder, report_fault
from tests.helpers.small_space import small_space

SBATCH = ROOT / "cluster" / "slurm" / "tune.sbatch"
SPACE = small_space(trials=2, epochs=2)


@pytest.mark.heavy
def test_the_script_passes_valid_options_to_ray() -> None:
    text = SBATCH.read_text()
    subprocess.run(["bash", "-n", str(SBATCH)], check=True)
    script = re.search(r"\nnode='\n(.*?)'\n", text, re.S)
    assert script
    subprocess.run(["bash", "-n"], input=script[1].replace("'\\''", "'"), text=True, check=True)
    before, entry = re.search(r"ray symmetric-run (.*?)--\s(.*)", script[1].replace("\\\n", ""), re.S).groups()
    assert entry.startswith("bash -c"), "the head's command follows the separator"
    ray = Path(sys.executable).parent / "ray"
    help_text = "".join(
        subprocess.run([str(ray), command, "--help"], capture_output=True, text=True, check=True).stdout
        for command in ("symmetric-run", "start")
    )
    options = re.findall(r"--[a-z-]+", before)
    assert {"--address", "--min-nodes", "--num-cpus"} == set(options)
    for option in options:
        assert re.search(rf"{option}\b", help_text), option
    for refused in ("--head", "--node-ip-address", "--port", "--block"):
        assert refused not in options


def test_a_job_has_whole_nodes_and_is_requeued() -> None:
    options = re.findall(r"^#SBATCH (\S+)", SBATCH.read_text(), re.M)
    for option in ("--exclusive", "--requeue", "--no-kill", "--open-mode=append", "--ntasks-per-node=1"):
        assert option in options


@pytest.fixture
def checkout(tmp_path: Path, tiny_dataset: Path) -> Path:
    """A checkout with a small study and its data, in a folder that all machines share."""
    folder = link_checkout(tmp_path / "shared")
    shutil.copytree(tiny_dataset, folder / "data")
    (folder / "tiny.yaml").write_text(SPACE)
    return folder


@pytest.fixture
def on_slurm(checkout: Path) -> Callable[..., subprocess.CompletedProcess]:
    """on_slurm("a shell script", nodes=2): runs it in the checkout, with access to its own Slurm."""

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
        return run_with_machines(
            nodes, checkout.parent, command, PATH=path, PYTHONPATH=str(ROOT), RAY_AUTH_TOKEN_PATH=token
        )

    found = [shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("slurmctld", "slurmd", "munged")]
    if not all(found):
        pytest.skip("needs Slurm; on Debian: apt-get install slurm-wlm munge")
    probe = run("srun true")
    if probe.returncode:
        pytest.skip(f"Slurm does not start on this machine: {(probe.stdout + probe.stderr)[-500:]}")
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


@pytest.mark.slow
def test_exit_codes_of_jobs(on_slurm: Callable[..., subprocess.CompletedProcess], checkout: Path) -> None:
    done = on_slurm(JOBS)
    logs = {number: (checkout / f"log-{number}").read_text() for number in (1, 2, 3)}
    exit_codes = re.findall(r"ExitCode=(\d+)", done.stdout)
    assert exit_codes == ["0", "2", "1"], done.stdout + done.stderr + "\n".join(logs.values())

    summary = json.loads((checkout / "runs" / "tiny" / "summary.json").read_text())
    assert summary["trials"]["complete"] == 2, logs[1]
    assert (checkout / "hearai-1.exit").read_text() == "0\n"
    assert (checkout / "hearai-2.exit").read_text() == "2\n" and "nowhere.yaml" in logs[2]
    assert not (checkout / "hearai-3.exit").exists() and "the search never started" in logs[3]
    assert not (checkout / "runs" / "never").exists()

    token = checkout.parent / "home" / "token"
    assert token.stat().st_mode & 0o777 == 0o600 and token.parent.stat().st_mode & 0o777 == 0o700
    assert not any(token.read_text() in log for log in logs.values())
    assert "left: \n" in done.stdout, "nothing remains on the node's disk"


LOSES_A_NODE = f"""{SUBMIT}
submit --nodes=3 --no-requeue cluster/slurm/tune.sbatch --space tiny.yaml --data-path data \\
    --trials 3 --set train_parameters.epochs=300 >output &
trained() {{ grep -l "epoch 5:" runs/tiny/trials/*/train.log 2>/dev/null | wc -l; }}
until [ "$(trained)" = 3 ]; do
    sleep 0.3
    kill -0 $! || exit 98
done
/mnt/power-off "$(grep -ho 'node[23]' runs/tiny/trials/*/attempt | head -n 1)"
wait
cat output
"""


@pytest.mark.slow
def test_a_search_over_three_nodes_survives_a_dead_one(
    on_slurm: Callable[..., subprocess.CompletedProcess], checkout: Path
) -> None:
    done = on_slurm(LOSES_A_NODE, nodes=3)
    log = (checkout / "log-1").read_text() if (checkout / "log-1").exists() else ""
    assert re.findall(r"ExitCode=(\d+)", done.stdout) == ["0"], done.stdout + done.stderr + log
    assert "3 nodes: all see the storage and the same 12 clips" in log
    assert "lost its node; it will resume from its last epoch on another node" in log
    folder = StudyFolder(checkout / "runs" / "tiny")
    folder.assert_complete(3, 300)
    report_fault(
        "node of a Slurm job loses power",
        "its trial resumes on another node, and the job completes",
        finished_epochs_lost=folder.epochs_lost(),
        exit_code=0,
    )
