"""Early stopping: who goes on at a rung, the same whether it was seen live or read from the journal."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from hearai.search.early_stopping import Asha, build_asha
from hearai.search.scheduler import EpochScheduler
from hearai.study_file import EarlyStopping

calm = settings(deadline=None)
scores = st.floats(0, 1)


def asha(reduction_factor: int = 3, grace_epochs: int = 2, max_epochs: int = 20) -> Asha:
    return Asha(grace_epochs=grace_epochs, reduction_factor=reduction_factor, max_epochs=max_epochs)


def test_rungs_grow_by_the_factor_and_end_before_the_last_epoch() -> None:
    assert list(asha().rungs) == [2, 6, 18]
    assert list(asha(max_epochs=18).rungs) == [2, 6]
    assert list(asha(grace_epochs=20).rungs) == []


def test_between_rungs_every_trial_goes_on() -> None:
    stopper = asha()
    assert all(stopper.goes_on(1, epoch, 0.9) for epoch in (1, 2, 3, 6))
    assert all(stopper.goes_on(2, epoch, 0.1) for epoch in (1, 3, 4, 5, 7, 20))
    assert not stopper.goes_on(2, 2, 0.1)


@calm
@given(st.lists(scores, min_size=1, max_size=30), st.integers(2, 5))
def test_a_trial_goes_on_if_it_is_among_the_best_share_of_those_that_came_before(
    values: list[float], factor: int
) -> None:
    stopper = asha(factor)
    for number, value in enumerate(values):
        better = sum(other > value for other in values[:number])
        room = max(1, math.ceil((number + 1) / factor))
        assert stopper.goes_on(number, 2, value) == (better < room)


@calm
@given(st.lists(scores, min_size=2, max_size=30, unique=True), st.integers(2, 5))
def test_the_best_so_far_always_goes_on_and_of_ever_worse_trials_only_the_first(
    values: list[float], factor: int
) -> None:
    rising, falling = asha(factor), asha(factor)
    assert all(rising.goes_on(i, 2, value) for i, value in enumerate(sorted(values)))
    kept = [falling.goes_on(i, 2, value) for i, value in enumerate(sorted(values, reverse=True))]
    assert kept == [True] + [False] * (len(values) - 1)


@calm
@given(
    runs=st.lists(st.lists(scores, min_size=9, max_size=9), max_size=12),
    seen=st.integers(0, 12),
    factor=st.integers(2, 4),
)
def test_a_stopper_rebuilt_from_the_journal_decides_as_the_one_that_saw_it_all(
    runs: list[list[float]], seen: int, factor: int
) -> None:
    live, history = asha(factor, 1, 9), []
    for number, values in enumerate(runs[:seen]):
        history.append((number, told(live, number, values)))
    rebuilt = asha(factor, 1, 9)
    rebuilt.replay(history)
    assert rebuilt.rungs == live.rungs
    for number, values in enumerate(runs[seen:], start=seen):
        assert told(live, number, values) == told(rebuilt, number, values)


def told(stopper: Asha, number: int, values: list[float]) -> dict[int, float]:
    """{epoch: best so far} of a trial until it is stopped: what the journal keeps."""
    reported: dict[int, float] = {}
    for epoch in range(1, len(values) + 1):
        reported[epoch] = max(values[:epoch])
        if not stopper.goes_on(number, epoch, reported[epoch]):
            break
    return reported


def test_a_trial_that_reports_a_rung_again_is_counted_once() -> None:
    stopper = asha()
    stopper.replay([(1, {1: 0.3, 2: 0.5}), (2, {2: 0.6})])
    assert not stopper.goes_on(1, 2, 0.5)
    assert stopper.rungs[2] == {1: 0.5, 2: 0.6}


def test_early_stopping_can_be_switched_off() -> None:
    assert build_asha(EarlyStopping(name="none"), 20) is None
    settings = EarlyStopping(name="asha", grace_epochs=4, reduction_factor=2)
    assert list(build_asha(settings, 20).rungs) == [4, 8, 16]


# -- the scheduler that Tune asks -------------------------------------------------------------------


def decision(scheduler: EpochScheduler, number: int, value: float, *, kind: str = "search", **more: float) -> str:
    """What Tune is told about a trial's report of its second epoch (a rung)."""
    trial = Trial("run", config={"number": number, "kind": kind}, stub=True)
    result = {"epoch": 2, "objective": value, "diverged": 0.0, **more}
    return scheduler.on_trial_result(None, trial, result)


def test_tune_is_told_to_stop_the_losing_and_the_diverged() -> None:
    scheduler = EpochScheduler(asha(), overdue=lambda _: False)
    assert decision(scheduler, 0, 0.5) == TrialScheduler.CONTINUE
    assert decision(scheduler, 1, 0.4) == TrialScheduler.STOP
    assert decision(scheduler, 2, 0.6) == TrialScheduler.CONTINUE
    assert decision(scheduler, 3, 0.9, diverged=1.0) == TrialScheduler.STOP
    assert decision(scheduler, 4, 0.1, epoch=3) == TrialScheduler.CONTINUE
    assert 3 not in scheduler.asha.rungs[2], "a diverged trial sets no mark"


def test_the_base_config_and_the_finalists_run_to_their_end_and_only_the_base_sets_a_mark() -> None:
    scheduler = EpochScheduler(asha(), overdue=lambda _: False)
    decision(scheduler, 1, 0.9)
    assert decision(scheduler, 0, 0.4, kind="base") == TrialScheduler.CONTINUE
    assert decision(scheduler, 2, 0.1, kind="final") == TrialScheduler.CONTINUE
    assert scheduler.asha.rungs[2] == {1: 0.9, 0: 0.4}


@pytest.mark.parametrize("stopper", [asha(), None], ids=["asha", "none"])
def test_when_the_time_is_up_trials_are_stopped_at_their_next_report(stopper: Asha | None) -> None:
    late = False
    scheduler = EpochScheduler(stopper, overdue=lambda _: late)
    assert decision(scheduler, 1, 0.9) == TrialScheduler.CONTINUE
    late = True
    assert decision(scheduler, 1, 0.9, epoch=3) == TrialScheduler.STOP


def test_what_is_no_report_of_an_epoch_is_passed_over() -> None:
    scheduler = EpochScheduler(asha(), overdue=lambda _: True)
    trial = Trial("run", config={"number": 1, "kind": "search"}, stub=True)
    assert scheduler.on_trial_result(None, trial, {"done": True}) == TrialScheduler.CONTINUE
