"""The card of the data."""

from pathlib import Path

import pytest

from hearai.reporting.study_report.cards.evidence.data import build
from hearai.reporting.study_report.study_record import read_record
from hearai.reporting.study_report.summarize import summarize
from tests.helpers.report_facts import write_facts
from tests.helpers.report_files import page_of

pytestmark = pytest.mark.heavy


def test_clips_signers_classes_and_padding_are_shown(finished: Path) -> None:
    write_facts(finished)
    record = read_record(finished)
    context = build(record, summarize(record))
    (row,) = context["heads"]
    assert record.facts.clips == 12 and sum(part.clips for part in context["parts"].values()) == 12
    assert row.name == "gloss" and row.classes == 3 and sum(row.labelled.values()) == 12
    assert "12 of 12 clips are shorter and padded" in page_of(finished).text  # clips of one frame


def test_the_majority_is_that_of_the_training_clips(finished: Path) -> None:
    write_facts(finished)
    record = read_record(finished)
    (row,) = build(record, summarize(record))["heads"]
    counts = record.facts.heads["gloss"].counts
    assert row.most_frequent == str(max(counts["train"], key=lambda k: (counts["train"][k], -k)))
    assert row.majority["test"] == counts["test"].get(int(row.most_frequent), 0) / sum(counts["test"].values())


def test_older_studies_say_how_to_get_the_facts(finished: Path) -> None:
    assert "running the same search command again writes them (data.json)" in page_of(finished).text
