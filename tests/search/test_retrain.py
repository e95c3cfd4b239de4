"""The winner's last training, on training and validation clips."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState

from hearai.config.config import load_config
from hearai.config.study import Study
from hearai.data.annotations.load import load_data
from hearai.search.retrain import epochs_to_train, retrain_winner
from hearai.search.storage.trial_store import TrialStore
from hearai.training.fit import fit
from hearai.training.inference.assess import score_split
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime

pytestmark = pytest.mark.training
MakeStudy = Callable[..., Study]
LR = "train_parameters.lr"


@dataclass(frozen=True)
class FinishedSearch:
    study: Study
    search: TrialStore
    finals: TrialStore
    folder: Path

    def retrain(self, print_line: Callable[[str], object] = print) -> None:
        retrain_winner(self.study, self.search, self.finals, self.folder, 0, print_line)


@pytest.fixture
def finished(tmp_path: Path, make_study: MakeStudy, stores: tuple[TrialStore, TrialStore]) -> FinishedSearch:
    """A search whose trial 0 was best in epoch 1, and in epochs 2, 2 and 3 of its finals."""
    study, (search, finals) = make_study(), stores
    search.enqueue(study.base_params(), {"kind": "base"})
    number = search.propose(lambda trial: {LR: trial.suggest_float(LR, 0, 1)}).number
    search.set_user_attrs(number, {"best_epoch": 1})
    search.finish(number, TrialState.COMPLETE, 0.5)
    for seed, epoch in ((1, 2), (2, 2), (3, 3)):
        finals.enqueue({}, {"source": 0, "seed": seed})
        final = finals.propose(lambda _: {}).number
        finals.set_user_attrs(final, {"best_epoch": epoch})
        finals.finish(final, TrialState.COMPLETE, 0.5)
    return FinishedSearch(study, search, finals, tmp_path)


def test_it_trains_for_the_median_best_epoch_without_test_clips(finished: FinishedSearch) -> None:
    folder = finished.folder
    assert epochs_to_train(finished.search, finished.finals, 0) == 2
    printed: list[str] = []
    finished.retrain(printed.append)
    assert printed == ["retraining trial 0 on training and validation clips: 2 epochs"]
    best = load_checkpoint(folder / "final" / "best")
    assert best["epoch"] == 2 and best["metrics"]["epochs"] == 2
    config = load_config(folder / "final.yaml")
    split, original = load_data(config).split, load_data(finished.study.base).split
    assert len(split.train) == len(original.train) + len(original.val) and split.test == original.test
    scored = score_split(folder / "final" / "best", LocalRuntime("cpu", folder), split="test")
    assert scored["clips"] == len(original.test)
    finished.retrain(printed.append)
    assert len(printed) == 1, "an existing result is not trained again"


def test_its_config_reproduces_it(finished: FinishedSearch, tmp_path: Path) -> None:
    finished.retrain()
    again = fit(load_config(finished.folder / "final.yaml"), LocalRuntime("cpu", tmp_path / "again"))
    assert (again.epochs, again.best_epoch) == (2, 2)
    one, other = (load_checkpoint(run / "best")["model"] for run in (finished.folder / "final", tmp_path / "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_stopping_earlier_does_not_change_the_schedules(make_config, tiny_dataset: Path, tmp_path: Path) -> None:
    values = {"train_parameters.epochs": 4, "train_parameters.lr_schedule": "one_cycle"}
    full = fit(make_config(tiny_dataset, values), LocalRuntime("cpu", tmp_path / "full"))
    short = make_config(tiny_dataset, {**values, "train_parameters.stop_after_epoch": 2})
    stopped = fit(short, LocalRuntime("cpu", tmp_path / "stopped"))
    rates = [
        [row["lr"] for row in load_checkpoint(tmp_path / name / "last")["progress"]["history"]]
        for name in ("full", "stopped")
    ]
    assert (full.epochs, stopped.epochs) == (4, 2) and rates[0][:2] == rates[1]
