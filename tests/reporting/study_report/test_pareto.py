"""What a report says of a search for several metrics, or for named heads, checked against numbers by hand."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.reporting.study_report.page import write_results
from hearai.reporting.study_report.study_record import read_record
from tests.helpers.html_page import page_of
from tests.helpers.search_folder import LR, SHARP, Searching

TWO = ["objective", "seconds_per_clip"]
FIRST, SECOND = "hand_shape_base_form", "symmetry_operator"


def costs(milliseconds: float, parameters: int = 1_500_000) -> dict[str, float]:
    return {"seconds_per_clip": milliseconds / 1e3, "parameters": parameters, "size_mb": parameters * 4e-6}


def run_five(search: Searching) -> Path:
    """Base config 0; 1 better and slower; 2 as good as 1 and slower still; 3 quickest and worst; 4 stopped."""
    search.run(search.study.base_params(), [0.4, 0.5], "COMPLETE", costs=costs(10))
    search.run(SHARP, [0.6, 0.7], "COMPLETE", costs=costs(30))
    search.run({**SHARP, LR: 0.02}, [0.7, 0.7], "COMPLETE", costs=costs(40))
    search.run({**SHARP, LR: 0.03}, [0.1, 0.2], "COMPLETE", costs=costs(5))
    search.run({**SHARP, LR: 0.04}, [0.9], "PRUNED", costs=costs(1))
    return search.folder


def summary_of(folder: Path) -> dict:
    write_results(folder)
    return json.loads((folder / "summary.json").read_text())


def test_the_front_is_listed_with_its_values_and_the_files_of_its_configs(begin: Callable) -> None:
    with begin(metric=TWO) as search:
        folder = run_five(search)
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


def test_the_page_draws_and_lists_the_front_and_says_by_what_the_winner_is_chosen(begin: Callable) -> None:
    with begin(metric=[*TWO, "parameters"]) as search:
        folder = run_five(search)
    page = page_of(folder)
    assert not page.open and not page.loads
    html = (folder / "report.html").read_text()
    assert html.count("by milliseconds per clip") == 1 and html.count("by million parameters") == 1
    assert "chosen by the first metric, macro-F1, alone" in page.text
    assert "trial 3: macro-F1 0.200, ms/clip 5.00, M params 1.50" in html
    front = html.split("<h2>The Pareto front</h2>")[1].split("<h2>")[0]
    assert re.findall(r'<td class="left">(\d)</td>', front) == ["1", "0", "3"]
    assert "trial 4" not in front, "it was stopped early"


def test_with_two_metrics_a_line_joins_the_front(begin: Callable) -> None:
    with begin(metric=TWO) as search:
        folder = run_five(search)
    front = page_of(folder) and (folder / "report.html").read_text().split("<h2>The Pareto front</h2>")[1]
    svg = front.split("</svg>")[0]
    assert svg.count("<polyline") == 1 and svg.count("<circle") == 4
    points = re.search(r'polyline points="([^"]+)"', svg)[1].split()
    assert len(points) == 3 and points == sorted(points, key=lambda pair: float(pair.split(",")[0]))


def test_the_terminal_shows_the_front_at_80_columns(begin: Callable) -> None:
    with begin(metric=["objective", "seconds_per_clip", "parameters", "size_mb"]) as search:
        folder = run_five(search)
        for i in range(20):
            lr = {**SHARP, LR: 0.05 + i / 1000}
            search.run(lr, [0.71 + i / 100], "COMPLETE", costs=costs(50 + i, 123_456_789))
    text = write_results(folder)
    rows = [line for line in text.splitlines() if "Pareto" in line or re.match(r"  trial \d+ ", line)]
    assert max(map(len, text.split("files:")[0].splitlines())) <= 80
    assert rows[-13].split("search")[-1].split() == ["macro-F1", "ms/clip", "M", "params", "MB"]
    assert re.search(r"  trial 24 \(best so far\) +0\.900 +69.0 +123 +494\n", text)
    assert re.search(r"and 11 more in summary\.json", text)


def test_the_trials_table_has_a_column_for_each_cost_that_was_asked_for(begin: Callable) -> None:
    with begin(metric=TWO) as search:
        folder = run_five(search)
    write_results(folder)
    rows = list(csv.DictReader(io.StringIO((folder / "trials.csv").read_text())))
    assert [row["seconds_per_clip"] for row in rows] == ["0.01", "0.03", "0.04", "0.005", "0.001"]
    assert "parameters" not in rows[0]


def test_with_one_metric_there_is_no_word_of_a_front(finished: Path) -> None:
    assert "Pareto" not in page_of(finished).text + write_results(finished)


def test_a_search_for_several_metrics_that_has_just_begun_has_no_front_yet(begin: Callable) -> None:
    with begin(metric=TWO) as search:
        search.run(search.study.base_params(), [0.4], "RUNNING")
    assert summary_of(search.folder)["pareto"] == []
    assert "No trial is complete yet" in page_of(search.folder).text
    assert "Pareto" not in write_results(search.folder)


# -- named heads ----------------------------------------------------------------------------------


@pytest.fixture
def named(begin: Callable) -> Path:
    """A search for two of eight heads, scored on test: in these the winner is ahead, over all heads behind."""
    config = {"train_parameters": {"classification_mode": "hamnosys"}}
    with begin(objective={"heads": [FIRST, SECOND]}, config=config) as search:
        search.run(search.study.base_params(), [0.4, 0.5, 0.4], "COMPLETE", over_all=0.8)
        search.run(SHARP, [0.6, 0.7, 0.6], "COMPLETE", over_all=0.3)
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
    (search.folder / "test.json").write_text(json.dumps(scores))
    return search.folder


def test_curves_show_the_score_of_the_named_heads(named: Path) -> None:
    assert [trial.curve for trial in read_record(named).trials] == [{1: 0.4, 2: 0.5, 3: 0.4}, {1: 0.6, 2: 0.7, 3: 0.6}]


def test_the_summary_names_the_heads_that_were_searched_for(named: Path) -> None:
    objective = summary_of(named)["objective"]
    assert objective["metric"] == "val/objective" and objective["heads"] == [FIRST, SECOND]
    assert objective["words"] == "macro-F1 over 2 of 8 heads"


def test_base_and_winner_are_compared_by_the_named_heads_and_the_report_says_so(named: Path) -> None:
    text, page = write_results(named), page_of(named).text
    verdict = "beats the base config: macro-F1 over 2 of 8 heads 0.750 +- 0.010 against 0.450 +- 0.010"
    assert verdict in " ".join(text.split()) and verdict in page
    assert re.search(rf"\n\* {FIRST} +0\.400 +0\.700", text) and re.search(r"\n  hand_location_x +0\.900 +0\.100", text)
    assert re.search(r"mean over the heads with \* +0\.450 +0\.750", text)
    assert re.search(r"mean over all heads +0\.600 +0\.533", text)
    assert "validation macro-F1 over 2 of 8 heads in the search" in text
    assert max(map(len, text.split("files:")[0].splitlines())) <= 80
    html = (named / "report.html").read_text()
    assert f"{FIRST} *" in html and "hand_location_x *" not in html
    assert html.count("validation macro-F1 over 2 of 8 heads") >= 2, "the axes of both charts"
    assert f"mean macro-F1 over {FIRST}, {SECOND}" in html
