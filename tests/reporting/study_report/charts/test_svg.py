"""Charts: round ticks, positions in proportion, labels that cannot break the page."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearai.reporting.study_report.charts.axes import nice_ticks
from hearai.reporting.study_report.charts.svg import Series, Strip, bar_chart, line_chart, strip_chart

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a slow machine is not a failure

NUMBERS = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


@pytest.mark.heavy
@relaxed
@given(NUMBERS, NUMBERS)
def test_ticks_enclose_the_values_and_are_few(first: float, second: float) -> None:
    low, high = min(first, second), max(first, second)
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))


def test_epochs_have_integer_ticks() -> None:
    assert nice_ticks(1, 3, integers=True) == [1, 2, 3]
    assert nice_ticks(1, 1, integers=True) == [1, 2]
    assert nice_ticks(0.2233333333333333, 0.22333333333333333) == nice_ticks(0.22333333333333333, 0.22333333333333333)
    assert nice_ticks(0.0, 0.87) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_a_line_runs_from_left_to_right_and_upwards() -> None:
    chart = line_chart([Series([(1, 0.0), (2, 0.5), (3, 1.0)], "up")], x_name="epoch", y_name="score")
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="(.*?)"', chart)[1].split()]
    assert points[0][0] < points[1][0] < points[2][0]
    assert points[0][1] > points[1][1] > points[2][1]


def test_one_point_is_a_dot_and_no_points_are_no_chart() -> None:
    assert "<circle" in line_chart([Series([(1, 0.5)], "one")], x_name="x", y_name="y")
    assert line_chart([Series([], "none")], x_name="x", y_name="y") == ""


def test_labels_are_escaped() -> None:
    chart = line_chart([Series([(1, 1.0)], "<script>", 'a"b')], x_name="<x>", y_name="&")
    assert "<script>" not in chart and "<x>" not in chart and 'a"b' not in chart


def test_bar_lengths_are_proportional_to_shares() -> None:
    chart = bar_chart([("lr", 0.6), ("dropout_rate", 0.3)], "importance")
    first, second = (float(width) for width in re.findall(r'class="bar" x=.*? width="(.*?)"', chart))
    assert abs(first - 2 * second) < 0.2
    assert "60 %" in chart and "30 %" in chart and bar_chart([], "none") == ""


def test_a_lucky_selection_score_is_far_from_the_mean() -> None:
    strip = Strip("trial 7", [0.70, 0.72, 0.74], 0.72, 0.02, 0.9, "winner")
    chart = strip_chart([strip, Strip("base config", [0.7], 0.7, 0.0, None, "base")], "score")
    ring = float(re.search(r'class="ring" cx="(.*?)"', chart)[1])
    dots = [float(x) for x in re.findall(r'<circle cx="(.*?)"', chart)]
    mean = float(re.search(r'class="mean" x1="(.*?)"', chart)[1])
    assert dots[0] < dots[1] < dots[2] < ring and abs(mean - dots[1]) < 0.2
    assert ring - mean > 5 * (dots[2] - mean) and chart.count('class="ring"') == 1
    assert strip_chart([], "none") == ""


def test_long_row_names_keep_their_end_and_are_escaped() -> None:
    name = "heads.hamnosys.hand_position_finger_direction.<b>"
    chart = bar_chart([(name, 1.0)], "importance")
    assert "<b>" not in chart and "_finger_direction.&lt;b&gt;</text>" in chart and ">..." in chart
