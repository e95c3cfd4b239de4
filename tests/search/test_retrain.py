"""The winner once more, on training and validation clips."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.config.config import load_config
from hearai.config.study import Study
from hearai.data.annotations.load import load_data
from hearai.search.retrain import epochs_to_train, retrain_winner
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore, open_journal
from hearai.training.fit import fit
from hearai.training.inference.assess import score_split
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime

MakeStudy = Callable[..., Study]


@pytest.fixture
def ended(tmp_path: Path, make_study: MakeStudy):
    """A search whose trial 0 was best in epoch 1, and in epochs 2, 2 and 3 of its final runs."""
    study = make_study()
    with open_journal(tmp_path / "tiny") as storage:
        search = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        finals = TrialStore(storage, FINALS, RandomSampler(0), unique=False)
        search.enqueue(study.base_params(), {"kind": "base"})
        number = search.propose(lambda trial: {"train_parameters.lr": trial.suggest_float("train_parameters.lr", 0, 1)})
        search.note(number.number, best_epoch=1)
        search.finish(number.number, TrialState.COMPLETE, 0.5)
        for seed, epoch in ((1, 2), (2, 2), (3, 3)):
            finals.enqueue({}, {"source": 0, "seed": seed})
            again = finals.propose(lambda _: {}).number
            finals.note(again, best_epoch=epoch)
            finals.finish(again, TrialState.COMPLETE, 0.5)
        yield study, search, finals, tmp_path / "tiny"


def test_it_trains_for_the_median_of_the_best_epochs_on_all_but_the_test_clips(ended) -> None:
    study, search, finals, folder = ended
    assert epochs_to_train(search, finals, 0) == 2
    said: list[str] = []
    retrain_winner(study, search, finals, folder, 0, said.append)
    assert said == ["trial 0 once more, on training and validation clips: 2 epochs"]
    best = load_checkpoint(folder / "final" / "best")
    assert best["epoch"] == 2 and best["metrics"]["epochs"] == 2
    config = load_config(folder / "final.yaml")
    split, whole = load_data(config).split, load_data(study.base).split
    assert len(split.train) == len(whole.train) + len(whole.val) and split.test == whole.test
    assert score_split(folder / "final" / "best", LocalRuntime("cpu", folder), split="test")["clips"] == len(whole.test)
    retrain_winner(study, search, finals, folder, 0, said.append)
    assert len(said) == 1, "what is there is not made again"


def test_its_config_alone_gives_it_again(ended, tmp_path: Path) -> None:
    study, search, finals, folder = ended
    retrain_winner(study, search, finals, folder, 0, lambda _: None)
    again = fit(load_config(folder / "final.yaml"), LocalRuntime("cpu", tmp_path / "again"))
    assert (again.epochs, again.best_epoch) == (2, 2)
    one, other = (load_checkpoint(place / "best")["model"] for place in (folder / "final", tmp_path / "again"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_stopping_earlier_leaves_the_schedules_as_they_are(make_config, tiny_dataset: Path, tmp_path: Path) -> None:
    values = {"train_parameters.epochs": 4, "train_parameters.lr_schedule": "one_cycle"}
    whole = fit(make_config(tiny_dataset, values), LocalRuntime("cpu", tmp_path / "whole"))
    short = make_config(tiny_dataset, {**values, "train_parameters.stop_after_epoch": 2})
    cut = fit(short, LocalRuntime("cpu", tmp_path / "cut"))
    rates = [
        [row["lr"] for row in load_checkpoint(tmp_path / name / "last")["progress"]["history"]]
        for name in ("whole", "cut")
    ]
    assert (whole.epochs, cut.epochs) == (4, 2) and rates[0][:2] == rates[1]
