"""Metrics and the Pareto front."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearai.metrics import COSTS, METRICS, OBJECTIVE, check_metrics, objective_label, pareto_front

TWO = ("objective", "seconds_per_clip")


def test_front_has_the_trials_that_no_other_dominates() -> None:
    points = {
        0: (0.5, 1.0),
        1: (0.7, 3.0),
        2: (0.6, 2.0),
        3: (0.6, 2.5),  # same score as 2, but slower
        4: (0.4, 1.0),  # as fast as 0, but a lower score
    }
    assert pareto_front(points, TWO) == [1, 2, 0], "sorted by the first metric"


def test_equal_trials_are_both_on_the_front() -> None:
    assert pareto_front({3: (0.5, 1.0), 1: (0.5, 1.0)}, TWO) == [1, 3]


def test_third_metric_extends_the_front() -> None:
    points = {0: (0.7, 1.0, 9.0), 1: (0.6, 2.0, 1.0)}
    assert pareto_front(points, (*TWO, "parameters")) == [0, 1]
    assert pareto_front({trial: row[:2] for trial, row in points.items()}, TWO) == [0]


@pytest.mark.heavy
@given(st.dictionaries(st.integers(0, 30), st.tuples(*[st.integers(0, 5)] * 2), min_size=1))
def test_trials_not_on_the_front_are_dominated_by_the_front(points: dict) -> None:
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
def test_invalid_metrics_are_errors(names: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_metrics(names)


def test_all_metrics_together_and_direction_of_costs() -> None:
    assert check_metrics(tuple(METRICS)) == (OBJECTIVE, *COSTS)
    assert {METRICS[name].direction for name in COSTS} == {"minimize"}


def test_values_are_formatted_in_the_unit_of_the_label() -> None:
    values = {"objective": 0.78249, "seconds_per_clip": 0.01234, "parameters": 1_234_567, "size_mb": 5.1234}
    assert [METRICS[name].format(value) for name, value in values.items()] == ["0.782", "12.3", "1.23", "5.12"]
    assert [METRICS["size_mb"].format(value) for value in (None, 7.0, 1234.5)] == ["-", "7.00", "1234"]


def test_label_of_the_objective() -> None:
    assert objective_label([], 8) == "macro-F1"
    assert objective_label(["a", "b", "c"], 8) == "macro-F1 over 3 of 8 heads"
