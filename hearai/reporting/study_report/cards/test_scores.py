"""The scores on the test clips, head by head: base config, winner, and always predicting the most frequent class."""

from collections.abc import Mapping
from typing import Any

from hearai.metrics import SCORES
from hearai.reporting.study_report import tables
from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.study_report.verdict import score_remarks


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet before the test clips are scored."""
    if summary.test is None:
        raise NotYet("Not scored yet: the test clips are scored after the winner has been chosen.")
    return {
        "has_majority": summary.most_frequent is not None,
        "objective": summary.objective,
        "heads": tables.head_rows(summary),
        "means": tables.mean_rows(summary),
        "rank_rows": tables.rank_rows(summary),
        "score_names": SCORES,
        "remarks": score_remarks(summary),
    }


CARD = Card(
    "test-scores",
    "Test scores",
    "The test clips had no part in the choice of the winner; where finals are added later, they are scored again.",
    build,
)
