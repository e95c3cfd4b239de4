"""A machine of the cluster dies: its trial runs again elsewhere, with its number, parameters and checkpoint."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.search.book import read_journal
from hearai.search.journal import SEARCH
from hearai.study import Study

SCRIPT = """
import sys, threading, time
from pathlib import Path

from ray.cluster_utils import Cluster

from hearai.search.run import Options, run_study
from hearai.study import Request, load_study

place, data = Path(sys.argv[1]), sys.argv[2]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": True})
second = cluster.add_node(num_cpus=1)
changes = {"train_parameters.epochs": 60}
settings = {"budget": {"trials": 3}, "finalists": {"count": 0}}
study = load_study(Request(str(place / "tiny.yaml"), "tiny", None, (data,), changes, settings))


def kill_when_both_train():
    logs = [place / "runs" / "tiny" / "trials" / name / "train.log" for name in ("0000", "0001")]
    while not all(log.exists() and "epoch 3:" in log.read_text() for log in logs):
        time.sleep(0.05)
    cluster.remove_node(second, allow_graceful=False)
    print("a machine is gone", flush=True)


threading.Thread(target=kill_when_both_train, daemon=True).start()
run_study(study, Options(place / "runs", cluster.address), lambda line: print(line, flush=True))
"""


@pytest.mark.slow
def test_a_trial_whose_machine_died_runs_again_from_its_checkpoint(
    make_study: Callable[..., Study], tmp_path: Path, tiny_dataset: Path
) -> None:
    make_study()  # writes tiny.yaml
    environment = {**os.environ, "HEARAI_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(tiny_dataset)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a machine is gone" in done.stdout
    folder = tmp_path / "runs" / "tiny"
    trials = read_journal(folder / "journal.log")[SEARCH].trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
    (lost,) = [trial for trial in trials if trial.user_attrs.get("lost")]
    assert lost.user_attrs["lost"] == 1
    lines = (folder / "trials" / f"{lost.number:04d}" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 61)), "no epoch was lost or trained twice"
