"""Early stopping: which trials continue at a rung, whether values are new or read from the journal."""

import math
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearai.config.study_schema import EarlyStopping
from hearai.search.early_stopping import STOPPERS, Asha, Hyperband, Median, Stopper, build_stopper

no_deadline = settings(deadline=None)
scores = st.floats(0, 1)


def asha(reduction_factor: int = 3, grace_epochs: int = 2, max_epochs: int = 20) -> Asha:
    return Asha(grace_epochs=grace_epochs, reduction_factor=reduction_factor, max_epochs=max_epochs)


def test_rungs_grow_by_the_factor_up_to_the_last_epoch() -> None:
    assert list(asha().rungs) == [2, 6, 18]
    assert list(asha(max_epochs=18).rungs) == [2, 6]
    assert list(asha(grace_epochs=20).rungs) == []


def test_every_trial_continues_between_rungs() -> None:
    stopper = asha()
    assert all(stopper.should_continue(1, epoch, 0.9) for epoch in (1, 2, 3, 6))
    assert all(stopper.should_continue(2, epoch, 0.1) for epoch in (1, 3, 4, 5, 7, 20))
    assert not stopper.should_continue(2, 2, 0.1)


@pytest.mark.heavy
@no_deadline
@given(st.lists(scores, min_size=1, max_size=30), st.integers(2, 5))
def test_a_trial_among_the_best_share_of_earlier_ones_continues(values: list[float], factor: int) -> None:
    stopper = asha(factor)
    for number, value in enumerate(values):
        better = sum(other > value for other in values[:number])
        room = max(1, math.ceil((number + 1) / factor))
        assert stopper.should_continue(number, 2, value) == (better < room)


@pytest.mark.heavy
@no_deadline
@given(st.lists(scores, min_size=2, max_size=30, unique=True), st.integers(2, 5))
def test_of_worse_and_worse_trials_only_the_first_continues(values: list[float], factor: int) -> None:
    rising, falling = asha(factor), asha(factor)
    assert all(rising.should_continue(i, 2, value) for i, value in enumerate(sorted(values)))
    continued = [falling.should_continue(i, 2, value) for i, value in enumerate(sorted(values, reverse=True))]
    assert continued == [True] + [False] * (len(values) - 1)


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(STOPPERS.keys() - {"none"}))
@no_deadline
@given(
    runs=st.lists(st.lists(scores, min_size=9, max_size=9), max_size=12),
    seen=st.integers(0, 12),
    factor=st.integers(2, 4),
)
def test_a_stopper_rebuilt_from_the_journal_decides_the_same(
    name: str, runs: list[list[float]], seen: int, factor: int
) -> None:
    options = EarlyStopping(name=name, grace_epochs=1, reduction_factor=factor)
    live, rebuilt, history = build_stopper(options, 9), build_stopper(options, 9), []
    for number, values in enumerate(runs[:seen]):
        history.append((number, run_until_stopped(live, number, values)))
    rebuilt.replay(history)
    for number, values in enumerate(runs[seen:], start=seen):
        assert run_until_stopped(live, number, values) == run_until_stopped(rebuilt, number, values)


def run_until_stopped(stopper: Stopper, number: int, values: list[float]) -> dict[int, float]:
    """{epoch: best value to date} until the trial is stopped, as in the journal."""
    reported: dict[int, float] = {}
    for epoch in range(1, len(values) + 1):
        reported[epoch] = max(values[:epoch])
        if not stopper.should_continue(number, epoch, reported[epoch]):
            break
    return reported


def test_a_trial_that_reports_a_rung_again_is_counted_once() -> None:
    stopper = asha()
    stopper.replay([(1, {1: 0.3, 2: 0.5}), (2, {2: 0.6})])
    assert not stopper.should_continue(1, 2, 0.5)
    assert stopper.rungs[2] == {1: 0.5, 2: 0.6}


def test_early_stopping_is_chosen_by_name_or_disabled() -> None:
    assert build_stopper(EarlyStopping(name="none"), 20) is None
    settings = EarlyStopping(name="asha", grace_epochs=4, reduction_factor=2)
    assert list(build_stopper(settings, 20).rungs) == [4, 8, 16]
    named = get_args(EarlyStopping.model_fields["name"].annotation)
    assert set(named) == STOPPERS.keys()


# -- hyperband ------------------------------------------------------------------------------------


def test_brackets_start_later_and_later() -> None:
    brackets = Hyperband(grace_epochs=2, reduction_factor=3, max_epochs=20, brackets=5).brackets
    assert [list(bracket.rungs) for bracket in brackets] == [[2, 6, 18], [6, 18], [18]]


def test_the_trial_number_decides_the_bracket() -> None:
    one, other = (Hyperband(grace_epochs=1, reduction_factor=3, max_epochs=20, brackets=3) for _ in range(2))
    chosen = [one.brackets.index(one.bracket_of(number)) for number in range(300)]
    assert chosen == [other.brackets.index(other.bracket_of(number)) for number in reversed(range(300))][::-1]
    counts = [chosen.count(bracket) for bracket in range(3)]  # Hyperband: ceil(3 * 9 / 3), ceil(3 * 3 / 2), 3
    assert counts[0] > counts[1] > counts[2] and counts[0] == pytest.approx(300 * 9 / 17, abs=30)


def test_poor_trials_stop_at_the_first_rung_of_their_bracket() -> None:
    stopper = Hyperband(grace_epochs=1, reduction_factor=2, max_epochs=9, brackets=2)
    for number in range(40):
        value, first = 0.9 - number / 100, next(iter(stopper.bracket_of(number).rungs))
        reached = run_until_stopped(stopper, number, [value] * 9)
        assert max(reached) in (first, 9), "only the first of a bracket, which is its best, runs to its end"
    ends = {max(run_until_stopped(stopper, number, [0.1 - number / 1000] * 9)) for number in range(40, 80)}
    assert ends == {1, 2}


# -- median ---------------------------------------------------------------------------------------


def test_trials_below_the_median_stop_after_the_grace_epochs() -> None:
    stopper = Median(grace_epochs=2)
    for number, level in enumerate([0.2, 0.4, 0.6]):
        assert run_until_stopped(stopper, number, [level] * 4).keys() == {1, 2, 3, 4}
    assert run_until_stopped(stopper, 3, [0.39, 0.39]).keys() == {1, 2}
    assert not stopper.should_continue(3, 2, 0.39)
    assert stopper.should_continue(4, 2, 0.41)


def test_the_median_needs_three_other_trials_at_the_epoch() -> None:
    stopper = Median(grace_epochs=1)
    assert [stopper.should_continue(number, 1, 0.9 - number / 10) for number in range(4)] == [True, True, True, False]


def test_the_median_compares_averages_up_to_the_same_epoch() -> None:
    stopper = Median(grace_epochs=1)
    for number in range(3):
        for epoch, value in enumerate([0.0, 0.8], start=1):
            assert stopper.should_continue(number, epoch, value)
    assert stopper.should_continue(3, 2, 0.41) and not stopper.should_continue(4, 2, 0.39)
