"""Comparison of engines by their regrets."""

import pytest

from hearai.benchmarks.engine_comparison import HEARAI, RANDOM, REFERENCE
from hearai.benchmarks.tables.comparison import marks_of, reached, summarise_regrets
from hearai.benchmarks.tables.searches import Result, Search


def result(engine: str, task: str, *steps: tuple[float, float], seconds_per_training: float = 1.0) -> Result:
    """A search of 10 trainings. steps: (trainings, regret)."""
    timed = [(spent, spent * seconds_per_training, regret) for spent, regret in steps]
    return Result(Search("lcbench", task, engine, 0, 8, 10, 0.0), timed, 10 * seconds_per_training)


SLOW, FAST, POOR = [(0.1, 1.0), (8.0, 0.4)], [(0.1, 0.8), (2.0, 0.4), (6.0, 0.2)], [(0.1, 0.9)]


def test_regret_between_two_steps_is_that_of_the_earlier_one() -> None:
    search = result(HEARAI, "a", *FAST)
    assert [search.at(spent) for spent in (0.05, 1.99, 2.0, 9)] == [0.8, 0.8, 0.4, 0.2]
    assert search.at_seconds(5.9) == 0.4


def test_marks_are_shares_of_the_budget_and_whole_trainings() -> None:
    assert marks_of(25) == [5, 10, 12.5, 15, 25]
    assert marks_of(10) == [2, 4, 6, 10]


def test_summary_has_cost_rank_and_task_counts() -> None:
    results = [result(REFERENCE, task, *SLOW) for task in "ab"]
    results += [result(HEARAI, task, *FAST, seconds_per_training=2) for task in "ab"]
    results += [result(RANDOM, task, *POOR) for task in "ab"]
    best, reference, poor = summarise_regrets(results, 10)
    assert (best.engine, reference.engine, poor.engine) == (HEARAI, REFERENCE, RANDOM)
    assert (best.mean_cost, best.median_cost, best.clock_cost) == (0.2, 0.2, 0.4), "by the clock it is half as fast"
    assert (reference.mean_cost, reference.clock_cost, reference.p) == (0.8, 0.8, 1.0)
    assert (poor.mean_cost, poor.median_cost, poor.clock_cost) == (None, None, None)
    assert [row.rank for row in (best, reference, poor)] == [1, 2, 3]
    assert (best.better_tasks, reference.better_tasks) == (2, 0)
    assert best.regrets == pytest.approx({2: 0.4, 4: 0.4, 6: 0.2, 10: 0.2}) and best.finals == {"a": 0.2, "b": 0.2}


def test_median_task_counts_those_that_never_reach_the_goal() -> None:
    results = [result(REFERENCE, task, *SLOW) for task in "abc"]
    results += [result(HEARAI, "a", *FAST), result(HEARAI, "b", *POOR), result(HEARAI, "c", *POOR)]
    summary = next(row for row in summarise_regrets(results, 10) if row.engine == HEARAI)
    assert summary.median_cost is None and summary.better_tasks == 1


@pytest.mark.heavy
def test_signed_rank_test_sees_a_consistent_difference() -> None:
    tasks = "abcdefgh"
    results = [result(REFERENCE, task, *SLOW) for task in tasks] + [result(HEARAI, task, *FAST) for task in tasks]
    assert summarise_regrets(results, 10)[0].p == pytest.approx(2 / 2**8, rel=0.5)


def test_without_the_reference_there_are_no_costs() -> None:
    (summary,) = summarise_regrets([result(HEARAI, "a", *FAST)], 10)
    assert summary.mean_cost is summary.median_cost is summary.clock_cost is summary.p is None and summary.rank == 1


def test_reached_is_the_first_share_at_the_goal() -> None:
    assert reached([0.5, 0.3, 0.3, 0.1], 0.3) == 0.5 and reached([0.5], 0.3) is None and reached([0.1], None) is None
