"""Charts: round numbers on the axes, points where they belong, words that cannot break the page."""

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearai.reporting.study_report.charts import Series, line_chart, nice_ticks

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure

NUMBERS = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


@calm
@given(NUMBERS, NUMBERS)
def test_ticks_enclose_the_values_and_are_few(first: float, second: float) -> None:
    low, high = min(first, second), max(first, second)
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))


def test_epochs_get_whole_numbers() -> None:
    assert nice_ticks(1, 3, whole=True) == [1, 2, 3]
    assert nice_ticks(1, 1, whole=True) == [1, 2]
    assert nice_ticks(0.0, 0.87) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_a_line_runs_from_left_to_right_and_upwards() -> None:
    chart = line_chart([Series([(1, 0.0), (2, 0.5), (3, 1.0)], "up")], x_name="epoch", y_name="score")
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="(.*?)"', chart)[1].split()]
    assert points[0][0] < points[1][0] < points[2][0]
    assert points[0][1] > points[1][1] > points[2][1]


def test_a_single_point_is_a_dot_and_no_point_is_no_chart() -> None:
    assert "<circle" in line_chart([Series([(1, 0.5)], "one")], x_name="x", y_name="y")
    assert line_chart([Series([], "none")], x_name="x", y_name="y") == ""


def test_labels_are_escaped() -> None:
    chart = line_chart([Series([(1, 1.0)], "<script>", 'a"b')], x_name="<x>", y_name="&")
    assert "<script>" not in chart and "<x>" not in chart and 'a"b' not in chart
