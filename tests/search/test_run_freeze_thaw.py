"""A complete freeze-thaw search: trials pause, resume in any process, and what was trained is what one run gives."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import load_config
from hearai.config.study import Study
from hearai.reporting.study_report.page import write_results
from hearai.search.run import Options, run_study
from hearai.search.storage.journal_reader import read_journal
from hearai.search.storage.trial_store import SEARCH
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime

pytestmark = pytest.mark.usefixtures("ray_session")
EPOCHS, TRIALS = 8, 8
SETTINGS = {
    "sampler": {"name": "freeze_thaw", "startup_trials": 3},
    "budget": {"trials": TRIALS, "epochs": 24},
    "finalists": {"count": 1, "seeds": 1},
}


class DamagesACheckpoint:
    """Prints; tears the checkpoint of the first trial that pauses after the base config's."""

    def __init__(self, trials: Path):
        self.trials, self.lines, self.damaged = trials, list[str](), ""

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if not self.damaged and " paused " in line and "] 0000 " not in line:
            self.damaged = line.split("]")[1].split()[0]
            state = self.trials / self.damaged / "last" / "state.pt"
            state.write_bytes(state.read_bytes()[:100])


def logged_epochs(folder: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_freeze_thaw_search_pauses_resumes_and_ends(make_study: Callable[..., Study], tmp_path: Path) -> None:
    study = make_study(SETTINGS, {"train_parameters.epochs": EPOCHS})
    folder = tmp_path / "tiny"
    print_line = DamagesACheckpoint(folder / "trials")
    run_study(study, Options(tmp_path, max_concurrent=1), print_line)
    text = write_results(folder)
    trials = read_journal(folder / "journal.log")[SEARCH].trials
    states = [trial.state.name for trial in trials]
    assert set(states) == {"COMPLETE", "PRUNED"} and states[0] == "COMPLETE" and len(trials) <= TRIALS
    assert any("complete" in line for line in print_line.lines), "\n".join(print_line.lines)
    assert f"{states.count('PRUNED')} stopped early" in text and "paused" not in text
    for trial in trials:
        run = folder / "trials" / f"{trial.number:04d}"
        assert logged_epochs(run) == list(range(1, len(logged_epochs(run)) + 1))
        assert list(trial.intermediate_values)[: len(logged_epochs(run))] == logged_epochs(run)
        if trial.state.name == "PRUNED":
            assert not (run / "last").exists(), "it will not resume"
    check_damaged(print_line, trials, folder)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a trial
    config = load_config(folder / "best.yaml")
    again = fit(config, LocalRuntime("cpu", tmp_path / "again"))
    torch.set_num_threads(threads)
    summary = json.loads((folder / "summary.json").read_text())
    assert again.best == pytest.approx(summary["best"]["value"], abs=1e-4), "resumed = uninterrupted"


def check_damaged(print_line: DamagesACheckpoint, trials: list, folder: Path) -> None:
    """A paused trial whose checkpoint is damaged starts again when it is resumed, and its log says why."""
    assert print_line.damaged, "\n".join(print_line.lines)
    log = (folder / "trials" / print_line.damaged / "train.log").read_text()
    if trials[int(print_line.damaged)].user_attrs["paused"] == 0:
        assert "the trial starts again from epoch 1" in log
