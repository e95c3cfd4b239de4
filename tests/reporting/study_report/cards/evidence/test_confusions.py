"""The card of confused classes."""

from pathlib import Path

import pytest

from hearai.reporting.study_report.cards.card import NotYet
from hearai.reporting.study_report.cards.evidence.confusions import MOST_CLASSES, build
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from tests.helpers.report_facts import write_confusions, write_examples
from tests.helpers.report_files import html_of, page_of

pytestmark = pytest.mark.heavy


def context_of(folder: Path) -> dict:
    record = read_record(folder)
    return dict(build(record, summarize(record)))


def test_pairs_have_names_counts_and_frames(finished: Path) -> None:
    write_confusions(finished, [(0, 0, 3), (0, 1, 2), (1, 1, 3)], c0="hello", c1="<b>thanks</b>")
    write_examples(finished, 0, 1)
    page, source = page_of(finished), html_of(finished)
    assert "hello was predicted as <b>thanks</b> (gloss): 2 of 5" in page.text and "<b>thanks" not in source
    assert source.count('<img alt="" src="data:image/jpeg;base64,') == 6
    assert "data/c1: hello, misclassified" in page.text and not page.open


def test_frames_can_be_left_out_of_the_page(finished: Path) -> None:
    write_confusions(finished, [(0, 1, 2), (1, 1, 3)])
    source = html_of(finished)
    assert "<img" not in source and "The study folder has no example frames (test_examples.json)." in source


def test_rows_of_the_matrix_are_true_classes(finished: Path) -> None:
    write_confusions(finished, [(0, 0, 3), (0, 1, 1), (2, 1, 2)])
    (matrix,) = context_of(finished)["matrices"]
    assert list(matrix.names) == [0, 1, 2] and list(matrix.rows) == [0, 2]  # no test clip has class 1
    assert [cell.clips for cell in matrix.rows[0]] == [3, 1, 0, 0] and matrix.rows[0][1].share == 0.25
    assert (matrix.wrong, matrix.clips) == (3, 6)


def test_of_many_classes_the_most_confused_are_shown(finished: Path) -> None:
    right = [(label, label, 1) for label in range(100)]
    write_confusions(finished, [*right, (70, 80, 5), (3, 90, 1)], classes=100)
    (matrix,) = context_of(finished)["matrices"]
    assert len(matrix.names) == MOST_CLASSES and {70, 80, 3, 90} <= matrix.names.keys() and matrix.occurring == 100
    assert "the 20 of 100 classes that are confused most" in page_of(finished).text


def test_predictions_without_a_column_are_counted(finished: Path) -> None:
    pairs = [(label, label + 100, 2) for label in range(20)] + [(0, 50, 9), (0, 51, 9)]
    write_confusions(finished, pairs, classes=200)
    (matrix,) = context_of(finished)["matrices"]
    assert sum(cell.clips for cell in matrix.rows[0]) == 20


def test_no_error_is_said_to_be_none(finished: Path) -> None:
    write_confusions(finished, [(0, 0, 3), (1, 1, 1)])
    assert "No test clip was misclassified." in page_of(finished).text


def test_scores_of_older_searches_say_how_to_make_them(finished: Path) -> None:
    with pytest.raises(NotYet, match=r"an older version.*: rm .*test\.json, then the same search command"):
        context_of(finished)
    write_confusions(finished, [(0, 0, 3)])
    text = (finished / "test_confusion.json").read_text()
    (finished / "test_confusion.json").write_text(text.replace('"trial":1', '"trial":2'))  # of an earlier winner
    with pytest.raises(NotYet):
        context_of(finished)


def test_a_damaged_file_costs_only_its_card(finished: Path) -> None:
    (finished / "test_confusion.json").write_text('{"trial": 1}')
    text = page_of(finished).text
    assert "Could not be drawn: " in text and "test_confusion.json: cannot be read (seeds: missing" in text
    assert "This card could not be drawn" not in text and "Cost" in text
