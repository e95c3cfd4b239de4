"""report.md: short, complete, and safe against text from files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.reporting.study_report.markdown import escape
from hearai.reporting.study_report.page import write_results
from tests.helpers.study_builder import LR


def report_of(folder: Path) -> str:
    write_results(folder)
    return (folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.heavy
def test_it_has_the_verdict_scores_parameters_and_finalists(finished: Path) -> None:
    text = report_of(finished)
    assert text.startswith(
        "## tiny: hyperparameter search\n\nThe winner, trial 1, beats the base config: macro-F1 0.520"
    )
    assert "| gloss | 0.410 | 0.520 | +0.110 |" in text
    assert f"| `{LR}` | 0.001 | 0.01 |" in text
    assert "| trial 1 | 0.580 | 0.042 | 0.550, 0.610 |" in text
    assert "5 trials (2 complete, 2 stopped early, 1 failed); wall time 30.0 s" in text
    assert text.endswith("More: `report.html`; the winner's config: `best.yaml`.\n") and len(text) < 3000


@pytest.mark.heavy
def test_an_empty_study_is_a_sentence(build_study: Callable) -> None:
    with build_study() as builder:
        pass
    text = report_of(builder.folder)
    assert "No trial has started yet." in text and "|" not in text


@pytest.mark.heavy
def test_failures_are_shown_as_text(finished: Path) -> None:
    assert '- 0003: ValueError: &lt;b&gt;no, "such"&lt;/b&gt;' in report_of(finished)


def test_markup_and_mentions_are_escaped() -> None:
    assert escape("a|b `c` *d*\n[e](f)") == r"a\|b \`c\` \*d\* \[e\](f)"
    assert escape("<img src=x> & @someone #12") == "&lt;img src=x&gt; &amp; @\u200bsomeone \\#12"
