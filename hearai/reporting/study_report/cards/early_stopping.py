"""What early stopping from an earlier epoch would have saved and lost."""

from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report.cards.card import Card
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.study_report.verdict import stopping_remark


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """The remark also says why it is unknown where it is."""
    return {"remark": stopping_remark(summary)}


CARD = Card("early-stopping", "Early stopping", "", build)
