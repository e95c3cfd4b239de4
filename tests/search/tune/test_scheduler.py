"""Tune's scheduler: which trials are stopped."""

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from hearai.search.early_stopping import Asha
from hearai.search.trial.spec import TrialKind, TrialSpec
from hearai.search.tune.scheduler import EpochScheduler


def asha() -> Asha:
    """Rungs at epochs 2, 6 and 18."""
    return Asha(grace_epochs=2, reduction_factor=3, max_epochs=20)


def decision(scheduler: EpochScheduler, number: int, value: float, *, kind: TrialKind = "search", **more: float) -> str:
    """The scheduler's decision on a trial's report of its second epoch (a rung)."""
    trial = Trial("run", config=TrialSpec(number, "unused", {}, kind=kind).to_dict(), stub=True)
    result = {"epoch": 2, "objective": value, "diverged": 0.0, **more}
    return scheduler.on_trial_result(None, trial, result)


def test_poor_and_diverged_trials_are_stopped() -> None:
    scheduler = EpochScheduler(asha(), over_budget=lambda _: False)
    assert decision(scheduler, 0, 0.5) == TrialScheduler.CONTINUE
    assert decision(scheduler, 1, 0.4) == TrialScheduler.STOP
    assert decision(scheduler, 2, 0.6) == TrialScheduler.CONTINUE
    assert decision(scheduler, 3, 0.9, diverged=1.0) == TrialScheduler.STOP
    assert decision(scheduler, 4, 0.1, epoch=3) == TrialScheduler.CONTINUE
    assert 3 not in scheduler.stopper.rungs[2], "a diverged trial has no value at a rung"


def test_base_and_finalists_run_to_their_end() -> None:
    scheduler = EpochScheduler(asha(), over_budget=lambda _: False)
    decision(scheduler, 1, 0.9)
    assert decision(scheduler, 0, 0.4, kind="base") == TrialScheduler.CONTINUE
    assert decision(scheduler, 2, 0.1, kind="final") == TrialScheduler.CONTINUE
    assert scheduler.stopper.rungs[2] == {1: 0.9, 0: 0.4}


@pytest.mark.parametrize("stopper", [asha(), None], ids=["asha", "none"])
def test_over_budget_trials_stop_at_their_next_report(stopper: Asha | None) -> None:
    late = False
    scheduler = EpochScheduler(stopper, over_budget=lambda _: late)
    assert decision(scheduler, 1, 0.9) == TrialScheduler.CONTINUE
    late = True
    assert decision(scheduler, 1, 0.9, epoch=3) == TrialScheduler.STOP


def test_a_report_without_an_epoch_is_ignored() -> None:
    scheduler = EpochScheduler(asha(), over_budget=lambda _: True)
    trial = Trial("run", config=TrialSpec(1, "unused", {}).to_dict(), stub=True)
    assert scheduler.on_trial_result(None, trial, {"done": True}) == TrialScheduler.CONTINUE
