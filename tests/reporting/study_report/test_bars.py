"""Bars and strips: lengths in proportion, marks where they belong, words that cannot break the page."""

import re

from hearai.reporting.study_report.charts import Strip, bar_chart, strip_chart


def test_bars_are_as_long_as_their_shares() -> None:
    chart = bar_chart([("lr", 0.6), ("dropout_rate", 0.3)], "importance")
    first, second = (float(width) for width in re.findall(r'class="bar" x=.*? width="(.*?)"', chart))
    assert abs(first - 2 * second) < 0.2
    assert "60 %" in chart and "30 %" in chart and bar_chart([], "none") == ""


def test_a_lucky_score_stands_far_from_the_mean_of_the_seeds() -> None:
    strip = Strip("trial 7", [0.70, 0.72, 0.74], 0.72, 0.02, 0.9, "winner")
    chart = strip_chart([strip, Strip("base config", [0.7], 0.7, 0.0, None, "base")], "score")
    ring = float(re.search(r'class="ring" cx="(.*?)"', chart)[1])
    dots = [float(x) for x in re.findall(r'<circle cx="(.*?)"', chart)]
    mean = float(re.search(r'class="mean" x1="(.*?)"', chart)[1])
    assert dots[0] < dots[1] < dots[2] < ring and abs(mean - dots[1]) < 0.2
    assert ring - mean > 5 * (dots[2] - mean) and chart.count('class="ring"') == 1
    assert strip_chart([], "none") == ""


def test_long_names_keep_their_end_and_are_escaped() -> None:
    name = "heads.hamnosys.hand_position_finger_direction.<b>"
    chart = bar_chart([(name, 1.0)], "importance")
    assert "<b>" not in chart and "_finger_direction.&lt;b&gt;</text>" in chart and ">..." in chart
