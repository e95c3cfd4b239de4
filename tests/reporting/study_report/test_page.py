"""The page: complete, self-contained, and safe against text from files; the other files are left as they are."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hearai.reporting.study_report.charts.course import MOST_CURVES, score_by_cost
from hearai.reporting.study_report.charts.svg import MARGIN_LEFT, MARGIN_RIGHT, WIDTH
from hearai.reporting.study_report.page import render_page, write_results
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from hearai.reporting.study_report.terminal import terminal_text
from tests.helpers.long_study import write_long_study
from tests.helpers.report_files import Page, html_of, page_of
from tests.helpers.simulated_search import simulate_search, study_of
from tests.helpers.study_builder import LR


@pytest.mark.heavy
def test_the_page_is_complete_self_contained_and_has_charts(finished: Path) -> None:
    page = page_of(finished)
    assert not page.open and not page.loads
    source = (finished / "report.html").read_text()
    assert source.count("<svg") == 8  # finalists, 3 parameters, by trial, by cost, by time, learning curves
    assert source.count("<script") == 1 and "url(" not in source
    assert source.count("<polyline") == 6  # 3 curves of several epochs, the best so far by trial, by cost and by time
    assert "python experiments/train.py --config" in page.text


@pytest.mark.heavy
def test_text_from_files_is_escaped(finished: Path) -> None:
    source, text = html_of(finished), page_of(finished).text
    assert 'ValueError: <b>no, "such"</b>' in text
    assert "<b>no," not in source and "tiny & <small>" in text and "<small>" not in source


@pytest.mark.heavy
def test_finalists_have_a_dot_per_seed_and_their_selection_score(finished: Path) -> None:
    source = html_of(finished)
    chart = source[source.index('aria-label="validation macro-F1">') :]
    chart = chart[: chart.index("</svg>")]
    assert chart.count("<circle cx") == 4 and chart.count('class="mean"') == 2 and chart.count('class="ring"') == 2
    assert chart.index("trial 1") < chart.index("base config")  # the best mean first
    assert '<g class="winner" data-t="1"><title>trial 1: mean 0.580; seeds 0.550, 0.610' in chart


@pytest.mark.heavy
def test_no_finalist_is_the_winner_before_one_is_chosen(finished: Path) -> None:
    (finished / "test.json").unlink()
    source = html_of(finished)
    finalists = source[source.index("<h2>Finalists") : source.index("<h2>Parameters")]
    assert 'class="winner"' not in finalists and 'class="base"' in finalists


@pytest.mark.heavy
def test_a_stopped_finalist_has_no_selection_score(build_study: Callable) -> None:
    with build_study() as builder:
        builder.run(builder.study.base_params(), [0.2, 0.1], "PRUNED")
        builder.retrain(0, 1, 0.3)
    source = html_of(builder.folder)
    assert 'class="mean"' in source and 'class="ring"' not in source


@pytest.mark.heavy
def test_the_best_score_by_the_epochs_of_all_trials(finished: Path) -> None:
    chart = score_by_cost(read_record(finished))
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="(.*?)"', chart)[1].split()]
    epochs = [2 + (x - MARGIN_LEFT) / (WIDTH - MARGIN_RIGHT - MARGIN_LEFT) * 8 for x, _ in points]  # the axis: 2 to 10
    assert [round(one) for one in epochs] == [3, 6, 6, 10]  # 3 + 3 of the complete ones, 1 + 1 + 2 of the others
    assert points[0][1] > points[-1][1]


@pytest.mark.heavy
def test_the_page_of_a_long_search_stays_usable(tmp_path: Path) -> None:
    study = study_of({"train_parameters.lr": {"float": [1e-4, 1e-2], "log": True}}, tmp_path)
    record = simulate_search(study, lambda params: params["train_parameters.lr"], 1200, stopped=0.5)
    text = render_page(record, summarize(record))
    assert text.count("<polyline") <= 2 * MOST_CURVES + 2 + 3
    assert "<details><summary>1150 more trials, the best first</summary>" in text
    assert f"{2 * MOST_CURVES + 1} of 1200 trials are drawn" in text
    rows = text[text.index("<h2>All trials") :]
    assert rows.count("<tr") == 1200 + 2  # all trials, and two heads of tables
    assert rows.index("<details>") > rows.index("complete")
    assert not Page(text).open and len(text) < 500_000


@pytest.mark.heavy
def test_important_parameters_are_bars_and_warnings_come_first(tmp_path: Path) -> None:
    study = study_of(
        {"train_parameters.lr": {"float": [1e-4, 1e-2], "log": True}, "transformer.dropout_rate": {"float": [0, 0.5]}},
        tmp_path,
    )
    record = simulate_search(study, lambda params: params["train_parameters.lr"], 60)
    page = render_page(record, summary := summarize(record))
    assert 'class="bar"' in page and page.index("are at the upper end of the range, 0.01; widen it") < page.index(
        "Test scores"
    )
    assert summary.importance["train_parameters.lr"] > 0.8 and len(summary.warnings) == 1
    text = terminal_text(record, summary)
    assert re.search(r"most important: lr \d+%(, dropout_rate [1-9]\d*%)?\n", text)
    assert "warning: lr: 6 of the best 6 trials are at the upper end of the range, 0.01; widen it" in " ".join(
        text.split()
    )
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.heavy
def test_stopping_criterion_and_code_versions_are_shown_if_known(finished: Path) -> None:
    record = read_record(finished)
    known = replace(summarize(record), ended_by="time budget (30 min)", code_versions=["1a2b3c4", "5d6e7f8"])
    page = render_page(record, known)
    assert "Stopping criterion: time budget (30 min)." in page and "Code: 1a2b3c4; 5d6e7f8." in page
    assert "Stopping criterion" not in render_page(record, summarize(record))


@pytest.mark.heavy
def test_at_most_five_failed_trials_are_listed_with_reasons(build_study: Callable) -> None:
    with build_study() as builder:
        builder.run(builder.study.base_params(), [0.2, 0.4], "COMPLETE")
        for i in range(1, 8):
            builder.run({LR: i / 100}, [], "FAIL", reason=f"died: signal {i}\nmore")
        builder.run({LR: 0.09}, [0.1], "RUNNING")
    text, page = write_results(builder.folder), page_of(builder.folder).text
    assert "  0001: died: signal 1\n" in text and "  0005: died: signal 5\n  2 more; see trials.csv" in text
    assert "0006" not in text and "1 running" in text
    assert "0005: died: signal 5" in page and "0006:" not in page and "2 more; the reasons are" in page
    assert "1\u00a0running" in page


@pytest.mark.heavy
def test_a_failed_retraining_is_listed_by_finalist_and_seed(finished: Path, build_study: Callable) -> None:
    with build_study(finished) as builder:
        builder.finals.enqueue({}, {"kind": "final", "source": 1, "seed": 9})
        number = builder.finals.propose(lambda _: {}).number
        builder.finals.set_user_attrs(number, {"reason": "out of memory"})
        builder.finals.finish(number, TrialState.FAIL)
    assert "  0001-seed9: out of memory\n" in write_results(finished)
    assert "0001-seed9: out of memory" in page_of(finished).text


@pytest.mark.heavy
def test_a_report_beside_a_running_search_changes_nothing_else(finished: Path, build_study: Callable) -> None:
    with build_study(finished):  # holds the lock
        before = files_of(finished)
        write_results(finished)
        after = files_of(finished)
    assert after.keys() - before.keys() == {"trials.csv", "summary.json", "report.html", "report.md"}
    assert {name: after[name] for name in before} == before


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_script_refuses_a_folder_that_is_not_a_study(call: Callable, tmp_path: Path) -> None:
    code, _, err = call("report", tmp_path)
    assert code == 2 and err.startswith(f"error: {tmp_path}: not a study folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.heavy
def test_the_script_writes_and_prints_the_report(call: Callable, finished: Path) -> None:
    code, out, _ = call("report", finished)
    assert code == 0 and "The winner, trial 1, beats the base config" in out
    assert (finished / "report.html").exists()


@pytest.mark.slow
def test_the_page_of_2000_trials_is_below_three_megabytes(tmp_path: Path, dataset: Path) -> None:
    folder = write_long_study(tmp_path / "long", dataset, 2000)
    page = Page(html_of(folder))
    assert (folder / "report.html").stat().st_size < 3_000_000
    assert not page.open and not page.loads and "could not be drawn" not in page.text
