"""The course of a search: learning curves, and scores by trial, by cost and by time."""

from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.charts.course import learning_curves, score_by_cost, score_by_time, score_by_trial
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.study_report.verdict import gain_remark


def build_learning_curves(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet before the first epoch of any trial."""
    plot = learning_curves(record)
    if not plot.chart:
        raise NotYet("No epoch has been finished yet.")
    return {"plot": plot, "winner_label": summary.winner_label}


def build_history(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet while no trial has a score."""
    if all(trial.value is None for trial in record.trials):
        raise NotYet("No trial has a score yet.")
    charts = {"trial": score_by_trial(record), "cost": score_by_cost(record), "time": score_by_time(record)}
    return {
        "charts": {name: chart for name, chart in charts.items() if chart},
        "gain_remark": gain_remark(summary),
        "winner_label": summary.winner_label,
    }


LEARNING_CURVES = Card(
    "learning-curves", "Learning curves", "The validation score of each trial by epoch.", build_learning_curves
)
HISTORY = Card(
    "history",
    "Progress of the search",
    "The score of each trial, and the best complete trial so far: by trial, by cost and by time.",
    build_history,
)
