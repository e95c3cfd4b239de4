"""What was searched with which versions."""

from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report.cards.card import Card
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Objective, versions of packages and code."""
    return {"objective": summary.objective, "versions": summary.versions, "code_versions": summary.code_versions}


CARD = Card("setup", "Setup", "", build)
