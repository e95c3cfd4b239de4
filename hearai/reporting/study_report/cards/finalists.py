"""The finalists, retrained with new seeds: every seed beside the score that selected the config."""

from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.charts.course import finalist_scores
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet while no config has been retrained."""
    if not summary.finalists:
        planned = record.study.settings.finalists.count
        raise NotYet("No finalist has been retrained yet." if planned else "This study retrains no finalists.")
    return {
        "chart": finalist_scores(record, summary),
        "finalists": summary.finalists,
        "winner": record.winner.number if summary.test and record.winner else None,
    }


CARD = Card(
    "finalists",
    "Finalists, retrained with new seeds",
    "The winner has the best mean validation score over new seeds, not the best single run of the search.",
    build,
)
