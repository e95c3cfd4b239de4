"""What early stopping from an earlier epoch would have saved and lost: the recorded curves, replayed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StoppingSummary, StudySummary
from hearai.reporting.study_report.verdict import stopping_remark


@dataclass(frozen=True)
class Row:
    """The outcome of stopping from one epoch on."""

    grace_epochs: int
    saved: float
    """Share of the epochs of all trials, in [0, 1)."""
    keeps_best: bool
    finalists: int
    """Those that would have been kept, of the others that were retrained."""
    complete: int
    """Trials that would have been complete."""


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet where nothing is known."""
    stopping = summary.early_stopping
    if not stopping.outcomes:
        raise NotYet(stopping_remark(summary))
    return {
        "remark": stopping_remark(summary),
        "rows": _rows(stopping),
        "best": stopping.trial,
        "best_name": "winner" if summary.test else "best trial",
        "finalists": len(stopping.finalists),
        "complete": summary.trials.complete,
        "factor": stopping.reduction_factor,
        "stopped": stopping.stopped,
    }


def _rows(stopping: StoppingSummary) -> Sequence[Row]:
    return [
        Row(
            outcome.grace_epochs,
            outcome.saved,
            stopping.trial in outcome.kept,
            sum(number in outcome.kept for number in stopping.finalists),
            len(outcome.kept),
        )
        for outcome in stopping.outcomes
    ]


CARD = Card("early-stopping", "Early stopping", "", build)
