"""How the searcher stores a trial's metrics and costs."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from hearai.config.config import build_config
from hearai.search.stage import Stage
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.searcher import JournalSearcher
from tests.helpers.suggestions import suggest_x_and_y

TWO_METRICS = ("objective", "seconds_per_clip")
LAST = {"epoch": 2, "epochs": 2, "objective": 0.5, "best_epoch": 1, "diverged": 0.0, "seconds": 1.0}
LAST |= {"parameters": 1000, "size_mb": 0.004, "seconds_per_clip": 0.02}


@pytest.fixture
def complete(open_store: Callable, tmp_path: Path) -> Callable[..., Any]:
    """complete(metrics, result) -> the trial in the journal after Tune has reported its last result."""

    def report(metrics: tuple[str, ...], result: dict[str, Any]) -> Any:
        with open_store(tmp_path, metrics=metrics) as store:
            stage = Stage(store, suggest_x_and_y, lambda _: build_config({}), limit=1, slots=1)
            spec = TrialSpec(0, str(tmp_path / "trial"), {})
            searcher = JournalSearcher(iter([stage]), lambda proposal, _: spec)
            searcher.suggest("a")
            searcher.on_trial_complete("a", result)
            return store[0]

    return report


def test_values_are_stored_in_the_order_of_the_metrics(complete: Callable[..., Any]) -> None:
    trial = complete(("objective", "size_mb", "seconds_per_clip"), LAST)
    assert trial.state is TrialState.COMPLETE and trial.values == [0.5, 0.004, 0.02]
    assert trial.user_attrs["costs"] == {"seconds_per_clip": 0.02, "parameters": 1000, "size_mb": 0.004}


def test_the_costs_of_a_pruned_trial_are_stored(complete: Callable[..., Any]) -> None:
    trial = complete(TWO_METRICS, {**LAST, "epoch": 1})
    assert trial.state is TrialState.PRUNED and trial.user_attrs["costs"]["seconds_per_clip"] == 0.02


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_not_stored(complete: Callable[..., Any], value: float) -> None:
    trial = complete(TWO_METRICS, {**LAST, "seconds_per_clip": value})
    assert trial.state is TrialState.FAIL and trial.values is None
    assert f"seconds_per_clip {value}" in trial.user_attrs["reason"]
