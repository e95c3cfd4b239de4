"""The page: whole, self-contained, and never obeying what others wrote."""

import re
from collections.abc import Callable
from pathlib import Path

from optuna.trial import TrialState

from hearai.reporting.study_report.charts import LEFT, RIGHT, WIDTH
from hearai.reporting.study_report.page import render_page, write_results
from hearai.reporting.study_report.plots import MOST_CURVES, over_cost
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summary import summarize
from hearai.reporting.study_report.terminal import terminal_text
from tests.helpers.html_page import Page, page_of
from tests.helpers.random_search import searched, study_of
from tests.helpers.search_folder import LR


def test_the_page_is_whole_loads_nothing_and_shows_its_charts(finished: Path) -> None:
    page = page_of(finished)
    assert not page.open and not page.loads
    source = (finished / "report.html").read_text()
    assert source.count("<svg") == 4  # finalists, learning curves, course and cost; importance has too few trials
    assert "<script" not in source and "url(" not in source
    assert source.count("<polyline") == 5  # curves of more than one epoch (3), and the best so far by trial and by cost
    assert "python experiments/train.py --config" in page.text


def test_what_others_wrote_is_shown_and_never_obeyed(finished: Path) -> None:
    source_text = page_of(finished).text
    source = (finished / "report.html").read_text()
    assert 'ValueError: <b>no, "such"</b>' in source_text
    assert "<b>no," not in source and "tiny & <small>" in source_text and "<small>" not in source


def test_finalists_are_drawn_with_a_dot_a_seed_and_the_score_that_chose_them(finished: Path) -> None:
    page_of(finished)
    source = (finished / "report.html").read_text()
    chart = source[source.index('aria-label="validation macro-F1">') :]
    chart = chart[: chart.index("</svg>")]
    assert chart.count("<circle cx") == 4 and chart.count('class="mean"') == 2 and chart.count('class="ring"') == 2
    assert chart.index("trial 1") < chart.index("base config")  # the best mean first
    assert '<g class="winner"><title>trial 1: mean 0.580; seeds 0.550, 0.610' in chart


def test_no_finalist_is_marked_as_the_winner_before_one_was_chosen(finished: Path) -> None:
    (finished / "test.json").unlink()
    page_of(finished)
    source = (finished / "report.html").read_text()
    finalists = source[source.index("The finalists") : source.index("<h2>Parameters")]
    assert 'class="winner"' not in finalists and 'class="base"' in finalists


def test_a_stopped_trial_lends_a_finalist_no_score_of_fewer_epochs(begin: Callable) -> None:
    with begin() as search:
        search.run(search.study.base_params(), [0.2, 0.1], "PRUNED")
        search.retrain(0, 1, 0.3)
    page_of(search.folder)
    source = (search.folder / "report.html").read_text()
    assert 'class="mean"' in source and 'class="ring"' not in source


def test_the_best_score_is_drawn_over_the_epochs_that_all_trials_cost(finished: Path) -> None:
    chart = over_cost(read_record(finished))
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="(.*?)"', chart)[1].split()]
    epochs = [2 + (x - LEFT) / (WIDTH - RIGHT - LEFT) * 8 for x, _ in points]  # the axis: 2 to 10
    assert [round(one) for one in epochs] == [3, 6, 6, 10]  # 3 + 3 of the complete ones, 1 + 1 + 2 of the others
    assert points[0][1] > points[-1][1]


def test_a_long_search_stays_a_page_that_can_be_used(tmp_path: Path) -> None:
    study = study_of({"train_parameters.lr": {"float": [1e-4, 1e-2], "log": True}}, tmp_path)
    record = searched(study, lambda params: params["train_parameters.lr"], 1200, stopped=0.5)
    text = render_page(record, summarize(record))
    assert text.count("<polyline") <= 2 * MOST_CURVES + 2 + 2
    assert "<details><summary>1150 more trials, the best first</summary>" in text
    assert f"{2 * MOST_CURVES + 1} of 1200 trials are drawn" in text
    rows = text[text.index("All trials") :]
    assert rows.count("<tr") == 1200 + 2  # all are there, below two heads
    assert rows.index("<details>") > rows.index("complete")
    assert not Page(text).open and len(text) < 500_000


def test_parameters_that_matter_are_bars_and_warnings_stand_at_the_top(tmp_path: Path) -> None:
    study = study_of(
        {"train_parameters.lr": {"float": [1e-4, 1e-2], "log": True}, "transformer.dropout_rate": {"float": [0, 0.5]}},
        tmp_path,
    )
    record = searched(study, lambda params: params["train_parameters.lr"], 60)
    page = render_page(record, summary := summarize(record))
    assert 'class="bar"' in page and page.index("sit at the upper end 0.01: widen it") < page.index("On the test clips")
    assert summary["importance"]["train_parameters.lr"] > 0.8 and len(summary["warnings"]) == 1
    text = terminal_text(record, summary)
    assert re.search(r"most important: lr \d+%(, dropout_rate [1-9]\d*%)?\n", text)
    assert "warning: lr: 6 of the best 6 trials sit at the upper end 0.01: widen it" in text
    assert max(map(len, text.splitlines())) <= 80


def test_why_a_search_ended_and_what_code_ran_it_are_shown_where_they_are_known(finished: Path) -> None:
    record = read_record(finished)
    known = {**summarize(record), "ended_by": "time budget", "code_versions": ["1a2b3c4", "5d6e7f8"]}
    page = render_page(record, known)
    assert "ended by: time budget" in page and "Code: 1a2b3c4, 5d6e7f8." in page
    assert "1 failed; 1 diverged); ended by:\ntime budget" in terminal_text(record, known)
    assert "ended by" not in render_page(record, summarize(record))


def test_failed_trials_are_listed_with_their_reasons_five_at_most(begin: Callable) -> None:
    with begin() as search:
        search.run(search.study.base_params(), [0.2, 0.4], "COMPLETE")
        for i in range(1, 8):
            search.run({LR: i / 100}, [], "FAIL", reason=f"died: signal {i}\nmore")
        search.run({LR: 0.09}, [0.1], "RUNNING")
    text, page = write_results(search.folder), page_of(search.folder).text
    assert "  0001: died: signal 1\n" in text and "  0005: died: signal 5\n  2 more; see trials.csv" in text
    assert "0006" not in text and "1 running" in text
    assert "0005: died: signal 5" in page and "0006:" not in page and "2 more; the reasons" in page
    assert "1 running" in page


def test_a_retraining_that_failed_is_listed_by_finalist_and_seed(finished: Path, begin: Callable) -> None:
    with begin(finished) as search:
        search.finals.enqueue({}, {"kind": "final", "source": 1, "seed": 9})
        number = search.finals.propose(lambda _: {}).number
        search.finals.note(number, reason="out of memory")
        search.finals.finish(number, TrialState.FAIL)
    assert "  0001-seed9: out of memory\n" in write_results(finished)
    assert "0001-seed9: out of memory" in page_of(finished).text
