"""Estimates of the cost of a search, from real epochs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.study import Study
from hearai.search.estimate import estimate, expected_epochs

pytestmark = pytest.mark.training
MakeStudy = Callable[..., Study]


def test_an_estimate_trains_real_epochs_and_leaves_no_cache(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    cost = estimate(make_study(), slots=2)
    assert (cost.trials, cost.epochs_at_most, cost.epochs, cost.final_epochs) == (3, 9, 9, 12)
    assert 0 < cost.epoch_seconds < 60 and cost.disk_mb > 0.1
    assert cost.seconds > (9 + 12) * cost.epoch_seconds / 2
    assert os.environ["HEARAI_CACHE"] == str(tmp_path / "cache") and not (tmp_path / "cache").exists()


def test_early_stopping_is_simulated_with_random_scores(make_study: MakeStudy) -> None:
    settings = {"budget": {"trials": 100}, "early_stopping": {"name": "asha", "grace_epochs": 1, "reduction_factor": 3}}
    study = make_study(settings, {"train_parameters.epochs": 9})
    assert 100 < expected_epochs(study) < 450  # each of 100 trials 1 epoch, a third 3, a ninth 9: about 230


def test_an_epoch_budget_limits_the_estimate(make_study: MakeStudy) -> None:
    cost = estimate(make_study({"budget": {"trials": 3, "epochs": 5}}), slots=1)
    assert (cost.epochs_at_most, cost.epochs) == (5, 5)
