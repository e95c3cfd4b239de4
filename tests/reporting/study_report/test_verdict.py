"""The verdict: whether the search helped, and by more than the noise."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.reporting.study_report.page import write_results
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from hearai.reporting.study_report.verdict import score_remarks
from tests.helpers.report_files import page_of
from tests.helpers.study_builder import write_test_scores


@pytest.mark.parametrize(
    ("base", "best", "winner", "verdict"),
    [
        ([0.40, 0.42], [0.50, 0.54], 1, "The winner, trial 1, beats the base config"),
        ([0.40, 0.50], [0.44, 0.54], 1, "is not clearly better than the base config"),
        ([0.40, 0.50], [0.40, 0.44], 1, "does not beat the base config"),
        ([0.40, 0.50], [0.40, 0.50], 0, "The base config itself is the winner"),
    ],
)
def test_the_verdict_compares_gain_and_spread(
    finished: Path, base: list[float], best: list[float], winner: int, verdict: str
) -> None:
    write_test_scores(finished, winner=winner, base=base, best=best)
    text = write_results(finished)
    assert verdict in " ".join(text.split())
    assert verdict in page_of(finished).text


def test_a_single_run_each_may_be_chance(finished: Path) -> None:
    scores = json.loads((finished / "test.json").read_text())
    for one in scores.values():
        one.update(seeds=[None], per_seed=[one["mean_macro_f1"]], std=0.0)
    (finished / "test.json").write_text(json.dumps(scores))
    assert "With one run each, this may be chance" in " ".join(write_results(finished).split())


def test_older_test_scores_are_compared_by_the_mean_of_heads(finished: Path) -> None:
    scores = json.loads((finished / "test.json").read_text())
    assert not any("objective" in one for one in scores.values())
    assert "macro-F1 0.520 +- 0.028 against 0.410 +- 0.014" in " ".join(write_results(finished).split())


@pytest.mark.parametrize(
    ("test", "remark"),
    [
        ([0.45, 0.47], "The test score is 0.120 lower"),
        ([0.69, 0.71], "The test score is 0.120 higher"),
        ([0.57, 0.59], None),
    ],
)
def test_a_gap_between_validation_and_test_is_remarked_on(
    finished: Path, test: list[float], remark: str | None
) -> None:
    write_test_scores(finished, winner=1, base=[0.40, 0.42], best=test)  # the winner's finals have 0.58 on validation
    text, page = " ".join(write_results(finished).split()), page_of(finished).text
    for shown in (text, page):
        assert (remark in shown) if remark else ("Validation and test differ" not in shown)
        assert "The test scores are of 2 runs with new seeds. best/ has the winner's run in the search" in shown


def test_a_lucky_run_of_the_search_is_compared_too(finished: Path) -> None:
    summary = summarize(read_record(finished))
    lucky = replace(summary, best=replace(summary.best, value=0.7), finalists=[])
    *_, gap = score_remarks(lucky)
    assert "the winner, in the search, has macro-F1 0.700" in gap and "0.180 lower" in gap
    scores = replace(summary.test.winner, seeds=(), objective=0.58)
    assert score_remarks(replace(lucky, best=summary.best, test=replace(summary.test, winner=scores))) == []
