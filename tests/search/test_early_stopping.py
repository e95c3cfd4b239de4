"""Early stopping: who goes on at a rung, the same whether it was seen live or read from the journal."""

import math
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearai.config.study_schema import EarlyStopping
from hearai.search.early_stopping import STOPPERS, Asha, Hyperband, Median, Stopper, build_stopper

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
    assert all(stopper.should_continue(1, epoch, 0.9) for epoch in (1, 2, 3, 6))
    assert all(stopper.should_continue(2, epoch, 0.1) for epoch in (1, 3, 4, 5, 7, 20))
    assert not stopper.should_continue(2, 2, 0.1)


@calm
@given(st.lists(scores, min_size=1, max_size=30), st.integers(2, 5))
def test_a_trial_goes_on_if_it_is_among_the_best_share_of_those_that_came_before(
    values: list[float], factor: int
) -> None:
    stopper = asha(factor)
    for number, value in enumerate(values):
        better = sum(other > value for other in values[:number])
        room = max(1, math.ceil((number + 1) / factor))
        assert stopper.should_continue(number, 2, value) == (better < room)


@calm
@given(st.lists(scores, min_size=2, max_size=30, unique=True), st.integers(2, 5))
def test_the_best_so_far_always_goes_on_and_of_ever_worse_trials_only_the_first(
    values: list[float], factor: int
) -> None:
    rising, falling = asha(factor), asha(factor)
    assert all(rising.should_continue(i, 2, value) for i, value in enumerate(sorted(values)))
    synced = [falling.should_continue(i, 2, value) for i, value in enumerate(sorted(values, reverse=True))]
    assert synced == [True] + [False] * (len(values) - 1)


@pytest.mark.parametrize("name", sorted(STOPPERS.keys() - {"none"}))
@calm
@given(
    runs=st.lists(st.lists(scores, min_size=9, max_size=9), max_size=12),
    seen=st.integers(0, 12),
    factor=st.integers(2, 4),
)
def test_a_stopper_rebuilt_from_the_journal_decides_as_the_one_that_saw_it_all(
    name: str, runs: list[list[float]], seen: int, factor: int
) -> None:
    options = EarlyStopping(name=name, grace_epochs=1, reduction_factor=factor)
    live, rebuilt, history = build_stopper(options, 9), build_stopper(options, 9), []
    for number, values in enumerate(runs[:seen]):
        history.append((number, on_report(live, number, values)))
    rebuilt.replay(history)
    for number, values in enumerate(runs[seen:], start=seen):
        assert on_report(live, number, values) == on_report(rebuilt, number, values)


def on_report(stopper: Stopper, number: int, values: list[float]) -> dict[int, float]:
    """{epoch: best so far} of a trial until it is stopped: what the journal keeps."""
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


def test_early_stopping_is_chosen_by_name_and_can_be_switched_off() -> None:
    assert build_stopper(EarlyStopping(name="none"), 20) is None
    settings = EarlyStopping(name="asha", grace_epochs=4, reduction_factor=2)
    assert list(build_stopper(settings, 20).rungs) == [4, 8, 16]
    named = get_args(EarlyStopping.model_fields["name"].annotation)
    assert set(named) == STOPPERS.keys()


# -- hyperband ------------------------------------------------------------------------------------


def test_brackets_begin_later_and_later_and_only_where_there_are_epochs_left() -> None:
    brackets = Hyperband(grace_epochs=2, reduction_factor=3, max_epochs=20, brackets=5).brackets
    assert [list(bracket.rungs) for bracket in brackets] == [[2, 6, 18], [6, 18], [18]]


def test_a_trials_number_alone_decides_its_bracket_and_early_brackets_get_more_trials() -> None:
    one, other = (Hyperband(grace_epochs=1, reduction_factor=3, max_epochs=20, brackets=3) for _ in range(2))
    chosen = [one.brackets.index(one.bracket_of(number)) for number in range(300)]
    assert chosen == [other.brackets.index(other.bracket_of(number)) for number in reversed(range(300))][::-1]
    counts = [chosen.count(bracket) for bracket in range(3)]  # Hyperband: ceil(3 * 9 / 3), ceil(3 * 3 / 2), 3
    assert counts[0] > counts[1] > counts[2] and counts[0] == pytest.approx(300 * 9 / 17, abs=30)


def test_a_losing_trial_is_stopped_at_the_first_rung_of_its_own_bracket() -> None:
    stopper = Hyperband(grace_epochs=1, reduction_factor=2, max_epochs=9, brackets=2)
    for number in range(40):
        value, first = 0.9 - number / 100, next(iter(stopper.bracket_of(number).rungs))
        reached = on_report(stopper, number, [value] * 9)
        assert max(reached) in (first, 9), "only the first of a bracket, which nobody beats, runs to its end"
    ends = {max(on_report(stopper, number, [0.1 - number / 1000] * 9)) for number in range(40, 80)}
    assert ends == {1, 2}


# -- median ---------------------------------------------------------------------------------------


def test_a_trial_below_the_median_of_the_others_averages_is_stopped_after_the_grace() -> None:
    stopper = Median(grace_epochs=2)
    for number, level in enumerate([0.2, 0.4, 0.6]):
        assert on_report(stopper, number, [level] * 4).keys() == {1, 2, 3, 4}
    assert on_report(stopper, 3, [0.39, 0.39]).keys() == {1, 2}
    assert not stopper.should_continue(3, 2, 0.39)
    assert stopper.should_continue(4, 2, 0.41)


def test_the_median_rule_waits_until_three_others_came_as_far() -> None:
    stopper = Median(grace_epochs=1)
    assert [stopper.should_continue(number, 1, 0.9 - number / 10) for number in range(4)] == [True, True, True, False]


def test_averages_run_over_all_epochs_so_far_so_that_slow_starters_are_not_held_to_final_values() -> None:
    stopper = Median(grace_epochs=1)
    for number in range(3):
        for epoch, value in enumerate([0.0, 0.8], start=1):
            assert stopper.should_continue(number, epoch, value)
    assert stopper.should_continue(3, 2, 0.41) and not stopper.should_continue(4, 2, 0.39)
