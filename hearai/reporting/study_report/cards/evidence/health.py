"""The health checks: whether the result can be believed, and what to do where it cannot."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import Status, StudySummary

ORDER: tuple[Status, ...] = ("FAIL", "WARNING", "PASS", "UNKNOWN")


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet before the first trial."""
    if not summary.trials.total:
        raise NotYet("Needs a trial.")
    counts = Counter(check.status for check in summary.health)
    return {
        "counts": {status: counts[status] for status in ORDER if counts[status]},
        "checks": sorted(summary.health, key=lambda check: ORDER.index(check.status)),
    }


CARD = Card(
    "health-checks",
    "Health checks",
    "Whether the result can be believed: what was measured, and what to do where a check does not pass.",
    build,
)
