"""Estimates of the cost of a search, from real epochs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.study import Study
from hearai.models.model import build_initial_model
from hearai.search.estimate import estimate, expected_epochs, search_epochs
from hearai.search.plan import make_plan
from hearai.training.features.feature_cache import ensure_features

pytestmark = pytest.mark.training
MakeStudy = Callable[..., Study]


def test_an_estimate_trains_real_epochs_and_leaves_no_cache(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    cost = estimate(make_study({"pretrain": {"epochs": 2, "batch_size": 8}}), slots=2)
    assert (cost.trials, cost.epochs_at_most, cost.epochs, cost.final_epochs) == (3, 9, 9, 12)
    assert 0 < cost.epoch_seconds < 60 and cost.disk_mb > 0.1
    assert cost.pretraining_seconds and cost.seconds > cost.pretraining_seconds + (9 + 12) * cost.epoch_seconds / 2
    assert not cost.keeps_features
    assert os.environ["HEARAI_CACHE"] == str(tmp_path / "cache") and not (tmp_path / "cache").exists()


def test_features_of_trained_weights_are_those_of_the_search(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    model = build_initial_model(make_study().base, {"gloss": 3})
    weights = {"backbone": model.feature_extractor.backbone.state_dict(), "model_path": "test_efficientnet"}
    torch.save(weights, tmp_path / "backbone.pt")
    study = make_study(changes={"feature_extractor.checkpoint": str(tmp_path / "backbone.pt")})
    cost = estimate(study, slots=2)
    assert cost.keeps_features and cost.pretraining_seconds is None
    folders = list((tmp_path / "cache").glob("features-*"))
    ensure_features(make_plan(study, tmp_path / "study").study.base)
    assert len(folders) == 1 and list((tmp_path / "cache").glob("features-*")) == folders


def test_early_stopping_is_simulated_with_random_scores(make_study: MakeStudy) -> None:
    settings = {"budget": {"trials": 100}, "early_stopping": {"name": "asha", "grace_epochs": 1, "reduction_factor": 3}}
    study = make_study(settings, {"train_parameters.epochs": 9})
    assert 100 < expected_epochs(study) < 450  # each of 100 trials 1 epoch, a third 3, a ninth 9: about 230


def test_an_epoch_budget_limits_the_estimate(make_study: MakeStudy) -> None:
    cost = estimate(make_study({"budget": {"trials": 3, "epochs": 5}}), slots=1)
    assert (cost.epochs_at_most, cost.epochs) == (5, 5)


@pytest.mark.parametrize(
    ("budget", "finalists", "expected"),
    [
        ({"trials": 40}, 3, (108, 144)),  # by default 30 % of all epochs; then three trials and the base config
        ({"trials": 40, "epochs": 50}, 0, (50, 68)),
        ({"trials": 4, "epochs": 1000}, 3, (36, 36)),
        ({"trials": 40, "seconds": 60}, 3, (360, 360)),
    ],
)
def test_freeze_thaw_spends_its_budget_and_completes_the_best(
    make_study: MakeStudy, budget: dict, finalists: int, expected: tuple[int, int]
) -> None:
    settings = {"budget": budget, "sampler": {"name": "freeze_thaw"}, "finalists": {"count": finalists}}
    settings["early_stopping"] = {"name": "asha", "grace_epochs": 1, "reduction_factor": 3}  # is not used
    assert search_epochs(make_study(settings, {"train_parameters.epochs": 9})) == expected


def test_the_estimate_of_freeze_thaw_counts_paused_trials(make_study: MakeStudy) -> None:
    plain, ours = (
        estimate(make_study({"budget": {"trials": 10, "epochs": 15}, "sampler": {"name": name}}), slots=1)
        for name in ("random", "freeze_thaw")
    )
    assert (ours.complete_trials, plain.complete_trials) == (5, None)
    assert ours.disk_mb > 1.5 * plain.disk_mb and ours.starts > plain.starts == 10
