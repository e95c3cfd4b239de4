"""Reading a study folder: torn lines are ignored, broken files are named, nothing is changed."""

from pathlib import Path

import pytest

from hearai.errors import UserError
from hearai.reporting.study_report.page import write_results
from hearai.reporting.study_report.study_record import read_record
from tests.helpers.report_files import csv_rows_of, summary_of


def test_a_torn_last_journal_line_is_ignored_and_kept(finished: Path) -> None:
    before = summary_of(finished)
    path = finished / "journal.log"
    torn = path.read_bytes() + b'{"op_code":4,"worker'
    path.write_bytes(torn)
    assert summary_of(finished) == before
    assert path.read_bytes() == torn


def test_a_broken_line_inside_the_journal_is_named(finished: Path) -> None:
    path = finished / "journal.log"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{broken\n", *lines[3:]]))
    with pytest.raises(UserError, match=r"journal\.log:4"):
        write_results(finished)


def test_a_torn_line_of_metrics_is_ignored(finished: Path) -> None:
    path = finished / "trials" / "0001" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 4, "val/mac')
    assert csv_rows_of(finished)[1]["val/gloss/macro_f1"] == "0.61"


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"base": null, "winner": null}'])
def test_broken_test_scores_are_named(finished: Path, content: str) -> None:
    (finished / "test.json").write_text(content)
    with pytest.raises(UserError, match=r"test\.json: no test scores can be read"):
        read_record(finished)
