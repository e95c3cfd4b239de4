"""What a search will cost: reckoned from real epochs, with nothing left behind."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.study import Study
from hearai.search.estimate import estimate, expected_epochs

MakeStudy = Callable[..., Study]


def test_it_is_reckoned_from_real_epochs_and_leaves_no_cache(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    found = estimate(make_study(), slots=2)
    assert (found.trials, found.epochs_at_most, found.epochs, found.final_epochs) == (3, 9, 9, 12)
    assert 0 < found.epoch_seconds < 60 and found.disk_mb > 0.1
    assert found.seconds > (9 + 12) * found.epoch_seconds / 2
    assert os.environ["HEARAI_CACHE"] == str(tmp_path / "cache") and not (tmp_path / "cache").exists()


def test_early_stopping_saves_what_it_saves_on_random_scores(make_study: MakeStudy) -> None:
    settings = {"budget": {"trials": 100}, "early_stopping": {"name": "asha", "grace_epochs": 1, "reduction_factor": 3}}
    study = make_study(settings, {"train_parameters.epochs": 9})
    assert 100 < expected_epochs(study) < 450  # each of 100 trials 1 epoch, a third 3, a ninth 9: about 230


def test_a_budget_of_epochs_caps_it(make_study: MakeStudy) -> None:
    found = estimate(make_study({"budget": {"trials": 3, "epochs": 5}}), slots=1)
    assert (found.epochs_at_most, found.epochs) == (5, 5)
