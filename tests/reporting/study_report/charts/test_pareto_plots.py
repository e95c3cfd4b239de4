"""Reports of searches for several metrics, or for named heads, checked against numbers worked out by hand."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.config.search_space.space import Space
from hearai.reporting.study_report.charts.pareto_plots import pareto_plots
from hearai.reporting.study_report.findings.pareto import pareto_points
from hearai.reporting.study_report.page import write_results
from hearai.reporting.study_report.study_record import read_record
from tests.helpers.report_files import csv_rows_of, html_of, page_of, summary_of
from tests.helpers.study_builder import LR, SHARP, StudyBuilder

TWO = ["objective", "seconds_per_clip"]
FIRST, SECOND = "hand_shape_base_form", "symmetry_operator"


def costs(milliseconds: float, parameters: int = 1_500_000) -> dict[str, float]:
    return {"seconds_per_clip": milliseconds / 1e3, "parameters": parameters, "size_mb": parameters * 4e-6}


def run_five(builder: StudyBuilder) -> Path:
    """0, the base config; 1, better and slower; 2, as good as 1 and slower; 3, fastest and worst; 4, stopped early."""
    builder.run(builder.study.base_params(), [0.4, 0.5], "COMPLETE", costs=costs(10))
    builder.run(SHARP, [0.6, 0.7], "COMPLETE", costs=costs(30))
    builder.run({**SHARP, LR: 0.02}, [0.7, 0.7], "COMPLETE", costs=costs(40))
    builder.run({**SHARP, LR: 0.03}, [0.1, 0.2], "COMPLETE", costs=costs(5))
    builder.run({**SHARP, LR: 0.04}, [0.9], "PRUNED", costs=costs(1))
    return builder.folder


@pytest.mark.heavy
def test_the_front_is_listed_with_values_and_config_files(build_study: Callable) -> None:
    with build_study(metric=TWO) as builder:
        folder = run_five(builder)
    (folder / "pareto").mkdir()
    (folder / "pareto" / "0001.yaml").write_text("")
    summary = summary_of(folder)
    assert summary["objective"]["metrics"] == TWO
    assert summary["pareto"] == [
        {"trial": 1, "config": "pareto/0001.yaml", "objective": 0.7, "seconds_per_clip": 0.03},
        {"trial": 0, "config": None, "objective": 0.5, "seconds_per_clip": 0.01},
        {"trial": 3, "config": None, "objective": 0.2, "seconds_per_clip": 0.005},
    ]
    assert summary["best"]["trial"] == 1, "the best of the first metric"


@pytest.mark.heavy
def test_trials_outside_of_a_narrowed_space_are_not_on_the_front(build_study: Callable) -> None:
    """Trial 1 has a learning rate of 0.01, trial 3 of 0.03; the base config's always counts."""
    with build_study(metric=TWO) as builder:
        record = read_record(run_five(builder))
    domain = replace(record.study.space.domains[LR], low=0.015, high=0.025)
    space = Space({**record.study.space.domains, LR: domain})
    narrowed = replace(record, study=replace(record.study, space=space))
    assert [point.trial for point in pareto_points(narrowed)] == [2, 0]
    assert [plot.count("<circle") for plot in pareto_plots(narrowed, pareto_points(narrowed))] == [4], "all are drawn"


@pytest.mark.heavy
def test_the_page_draws_and_lists_the_front(build_study: Callable) -> None:
    with build_study(metric=[*TWO, "parameters"]) as builder:
        folder = run_five(builder)
    page = page_of(folder)
    assert not page.open and not page.loads
    html = (folder / "report.html").read_text()
    assert html.count("by milliseconds per clip") == 1 and html.count("by million parameters") == 1
    assert "winner depend on the first metric only, macro-F1" in page.text
    assert "trial 3: macro-F1 0.200, ms/clip 5.00, M params 1.50" in html
    front = html.split("<h2>Pareto front</h2>")[1].split("<h2>")[0]
    assert re.findall(r'<td class="left">(\d)</td>', front) == ["1", "0", "3"]
    assert "trial 4" not in front, "it was stopped early"


@pytest.mark.heavy
def test_with_two_metrics_a_line_joins_the_front(build_study: Callable) -> None:
    with build_study(metric=TWO) as builder:
        folder = run_five(builder)
    front = html_of(folder).split("<h2>Pareto front</h2>")[1]
    svg = front.split("</svg>")[0]
    assert svg.count("<polyline") == 1 and svg.count("<circle") == 4
    points = re.search(r'polyline points="([^"]+)"', svg)[1].split()
    assert len(points) == 3 and points == sorted(points, key=lambda pair: float(pair.split(",")[0]))


@pytest.mark.heavy
def test_the_terminal_shows_the_front_at_80_columns(build_study: Callable) -> None:
    with build_study(metric=["objective", "seconds_per_clip", "parameters", "size_mb"]) as builder:
        folder = run_five(builder)
        for i in range(20):
            lr = {**SHARP, LR: 0.05 + i / 1000}
            builder.run(lr, [0.71 + i / 100], "COMPLETE", costs=costs(50 + i, 123_456_789))
    text = write_results(folder)
    rows = [line for line in text.splitlines() if "Pareto" in line or re.match(r"  trial \d+ ", line)]
    assert max(map(len, text.split("files:")[0].splitlines())) <= 80
    assert rows[-13].split("search")[-1].split() == ["macro-F1", "ms/clip", "M", "params", "MB"]
    assert re.search(r"  trial 24 \(best so far\) +0\.900 +69.0 +123 +494\n", text)
    assert re.search(r"and 11 more in summary\.json", text)


@pytest.mark.heavy
def test_trials_csv_has_a_column_per_cost_of_the_study(build_study: Callable) -> None:
    with build_study(metric=TWO) as builder:
        folder = run_five(builder)
    rows = csv_rows_of(folder)
    assert [row["seconds_per_clip"] for row in rows] == ["0.01", "0.03", "0.04", "0.005", "0.001"]
    assert "parameters" not in rows[0]


@pytest.mark.heavy
def test_with_one_metric_there_is_no_front(finished: Path) -> None:
    assert "Pareto" not in page_of(finished).text + write_results(finished)


@pytest.mark.heavy
def test_a_search_without_complete_trials_has_no_front_yet(build_study: Callable) -> None:
    with build_study(metric=TWO) as builder:
        builder.run(builder.study.base_params(), [0.4], "RUNNING")
    assert summary_of(builder.folder)["pareto"] == []
    assert "No trial is complete yet" in page_of(builder.folder).text
    assert "Pareto" not in write_results(builder.folder)


# -- named heads ----------------------------------------------------------------------------------


@pytest.fixture
def named(build_study: Callable) -> Path:
    """A search for two of eight heads, with test scores: the winner is better in these two, worse over all heads."""
    config = {"train_parameters": {"classification_mode": "hamnosys"}}
    with build_study(objective={"heads": [FIRST, SECOND]}, config=config) as builder:
        builder.run(builder.study.base_params(), [0.4, 0.5, 0.4], "COMPLETE", over_all=0.8)
        builder.run(SHARP, [0.6, 0.7, 0.6], "COMPLETE", over_all=0.3)
    heads = {FIRST: (0.4, 0.7), SECOND: (0.5, 0.8), "hand_location_x": (0.9, 0.1)}
    scores = {
        name: {
            "trial": trial,
            "seeds": [1, 2],
            "objective": sum(heads[head][trial] for head in (FIRST, SECOND)) / 2,
            "mean_macro_f1": sum(values[trial] for values in heads.values()) / 3,
            "std": 0.01,
            "per_seed": [0.0, 0.0],
            "heads": {head: {"accuracy": 0.5, "macro_f1": values[trial]} for head, values in heads.items()},
        }
        for name, trial in (("base", 0), ("winner", 1))
    }
    (builder.folder / "test.json").write_text(json.dumps(scores))
    return builder.folder


@pytest.mark.heavy
def test_curves_show_the_score_of_the_named_heads(named: Path) -> None:
    assert [trial.curve for trial in read_record(named).trials] == [{1: 0.4, 2: 0.5, 3: 0.4}, {1: 0.6, 2: 0.7, 3: 0.6}]


@pytest.mark.heavy
def test_the_summary_names_the_searched_heads(named: Path) -> None:
    objective = summary_of(named)["objective"]
    assert objective["metric"] == "val/objective" and objective["heads"] == [FIRST, SECOND]
    assert objective["words"] == "macro-F1 over 2 of 8 heads"


@pytest.mark.heavy
def test_base_and_winner_are_compared_by_the_named_heads(named: Path) -> None:
    text, page = write_results(named), page_of(named).text
    verdict = "beats the base config: macro-F1 over 2 of 8 heads 0.750 +- 0.010 against 0.450 +- 0.010"
    assert verdict in " ".join(text.split()) and verdict.replace(" +- ", "\u00a0\u00b1\u00a0") in page
    assert re.search(rf"\n\* {FIRST} +0\.400 +0\.700", text) and re.search(r"\n  hand_location_x +0\.900 +0\.100", text)
    assert re.search(r"mean over the heads with \* +0\.450 +0\.750", text)
    assert re.search(r"mean over all heads +0\.600 +0\.533", text)
    assert "validation macro-F1 over 2 of 8 heads in the search" in text
    assert max(map(len, text.split("files:")[0].splitlines())) <= 80
    html = (named / "report.html").read_text()
    assert f"{FIRST} *" in html and "hand_location_x *" not in html
    assert html.count("validation macro-F1 over 2 of 8 heads") >= 2, "the axes of both charts"
    assert f"mean macro-F1 over {FIRST}, {SECOND}" in html
