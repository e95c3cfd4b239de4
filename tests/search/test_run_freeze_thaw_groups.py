"""Trials of two workers pause, give their slot back, and resume in another worker group with the same scores."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from hearai.config.config import load_config
from hearai.config.study import Study
from hearai.search.cluster.resources import TrialResources
from hearai.search.run import Options, run_study
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import SEARCH
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime
from tests.helpers.fault_injection import PID, logged_epochs, trial_log

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]
TRIALS, EPOCHS = 3, 8
SETTINGS = {
    "sampler": {"name": "freeze_thaw", "startup_trials": 2},
    "budget": {"trials": TRIALS, "epochs": TRIALS * EPOCHS},
    "finalists": {"count": 0},
}


def test_worker_groups_pause_and_resume(make_study: Callable[..., Study], tmp_path: Path) -> None:
    study = make_study(SETTINGS, {"train_parameters.epochs": EPOCHS, "transformer.dropout_rate": 0.0})
    lines: list[str] = []
    run_study(study, Options(tmp_path, resources=TrialResources(workers=2)), lines.append)
    trials = read_journal(tmp_path / "tiny" / "journal.log")[SEARCH].trials
    folders = [tmp_path / "tiny" / "trials" / f"{trial.number:04d}" for trial in trials]
    resumed = [folder for folder in folders if len(PID.findall(trial_log(folder))) > 2]
    assert resumed and any(" paused " in line for line in lines), "\n".join(lines)
    for trial, folder in zip(trials, folders, strict=True):
        assert logged_epochs(folder) == list(trial.intermediate_values)
        assert list(trial.intermediate_values) == list(range(1, len(trial.intermediate_values) + 1))
        assert "starts again" not in trial_log(folder)
    assert ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"]
    alone = tmp_path / "alone"
    fit(load_config(resumed[0] / "config.yaml"), LocalRuntime("cpu", alone))
    ours, theirs = objectives(resumed[0]), objectives(alone)
    assert ours == pytest.approx(theirs[: len(ours)], abs=1e-4), "two workers that paused = one that did not"


def objectives(folder: Path) -> list[float]:
    return [json.loads(line)["objective"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
