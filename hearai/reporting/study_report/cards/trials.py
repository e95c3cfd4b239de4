"""All trials as a table, and the reasons of those that failed."""

from collections.abc import Mapping
from typing import Any

from hearai.metrics import METRICS, OBJECTIVE
from hearai.reporting.study_report import tables
from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord
from hearai.reporting.study_report.summary import StudySummary

ROWS_SHOWN = 50
"""Rows of the table that are visible; the others unfold."""
STATE_NAMES = {
    "COMPLETE": "complete",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "running",
    "PAUSED": "paused",
    "WAITING": "waiting",
}


def has_failures(record: StudyRecord, summary: StudySummary) -> bool:
    """Whether a trial or the retraining of a finalist failed."""
    return bool(tables.failures(record))


def build_failed(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """The first failures, and how many more there are."""
    failures = tables.failures(record)
    return {"failures": failures[: tables.MOST_FAILURES], "more": len(failures) - tables.MOST_FAILURES}


def build_all(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet before the first trial."""
    if not record.trials:
        raise NotYet("No trial has started yet.")
    return {
        "trials": sorted(record.trials, key=_rank),
        "rows_shown": ROWS_SHOWN,
        "names": tables.short_names_of(record),
        "costs": {name: METRICS[name] for name in record.study.settings.metric if name != OBJECTIVE},
        "objective": summary.objective.label,
        "has_failures": bool(summary.trials.failed or summary.diverged),
        "winner": record.winner.number if record.winner else None,
        "state_names": STATE_NAMES,
    }


def _rank(trial: TrialRecord) -> tuple[float, int]:
    """The best first; those without a value last."""
    return (-trial.value if trial.value is not None else 1.0, trial.number)


FAILED = Card("failed-trials", "Failed trials", "", build_failed, has_failures)
ALL = Card("trials", "All trials", "Every trial with its parameters, the best first.", build_all)
