"""What a health check finds."""

from collections.abc import Callable
from dataclasses import dataclass

from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import Status, StudySummary


@dataclass(frozen=True)
class Finding:
    """The result of one check; the fields are those of `HealthCheck`."""

    status: Status
    figure: str
    meaning: str = ""
    action: str = ""


Check = Callable[[StudyRecord, StudySummary], Finding]


def passed(figure: str) -> Finding:
    """Nothing is wrong."""
    return Finding("PASS", figure)


def unknown(needs: str) -> Finding:
    """The check cannot be made; `needs` says why."""
    return Finding("UNKNOWN", needs)
