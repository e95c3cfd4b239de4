"""Metrics by name, and which trials no other one dominates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearai.metrics import COSTS, METRICS, OBJECTIVE, check_metrics, objective_words, pareto_front

TWO = ("objective", "seconds_per_clip")


def test_a_trial_is_on_the_front_unless_another_is_as_good_in_all_and_better_in_one() -> None:
    points = {
        0: (0.5, 1.0),
        1: (0.7, 3.0),
        2: (0.6, 2.0),
        3: (0.6, 2.5),  # as good as 2, and slower
        4: (0.4, 1.0),  # as quick as 0, and worse
    }
    assert pareto_front(points, TWO) == [1, 2, 0], "the best first metric first"


def test_equal_trials_are_on_the_front_together() -> None:
    assert pareto_front({3: (0.5, 1.0), 1: (0.5, 1.0)}, TWO) == [1, 3]


def test_a_third_metric_brings_in_what_two_had_left_out() -> None:
    points = {0: (0.7, 1.0, 9.0), 1: (0.6, 2.0, 1.0)}
    assert pareto_front(points, (*TWO, "parameters")) == [0, 1]
    assert pareto_front({trial: row[:2] for trial, row in points.items()}, TWO) == [0]


@given(st.dictionaries(st.integers(0, 30), st.tuples(*[st.integers(0, 5)] * 2), min_size=1))
def test_each_trial_that_is_not_on_the_front_is_dominated_by_one_that_is(points: dict) -> None:
    front = pareto_front(points, TWO)
    assert front
    for trial, (score, seconds) in points.items():
        better = [one for one in front if points[one][0] >= score and points[one][1] <= seconds]
        strictly = [one for one in better if points[one] != (score, seconds)]
        assert bool(strictly) == (trial not in front)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("objective", "parametres"), "unknown 'parametres'.*did you mean 'parameters'"),
        (("objective", "size_mb", "size_mb"), "size_mb is given twice"),
        (("parameters",), "got parameters; give objective first"),
        (("seconds_per_clip", "objective"), "give objective first"),
        ((), "got nothing"),
    ],
)
def test_metrics_that_cannot_be_are_refused(names: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_metrics(names)


def test_all_metrics_may_be_asked_for_together_and_costs_are_to_be_low() -> None:
    assert check_metrics(tuple(METRICS)) == (OBJECTIVE, *COSTS)
    assert {METRICS[name].direction for name in COSTS} == {"minimize"}


def test_values_are_shown_in_units_that_people_read() -> None:
    shown = {"objective": 0.78249, "seconds_per_clip": 0.01234, "parameters": 1_234_567, "size_mb": 5.1234}
    assert [METRICS[name].shown(value) for name, value in shown.items()] == ["0.782", "12.3", "1.23", "5.12"]
    assert [METRICS["size_mb"].shown(value) for value in (None, 7.0, 1234.5)] == ["-", "7.00", "1234"]


def test_the_objective_is_named_with_the_heads_it_is_over() -> None:
    assert objective_words([], 8) == "macro-F1"
    assert objective_words(["a", "b", "c"], 8) == "macro-F1 over 3 of 8 heads"
