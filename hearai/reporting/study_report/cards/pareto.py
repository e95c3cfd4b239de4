"""The Pareto front of a search for several metrics."""

from collections.abc import Mapping
from typing import Any

from hearai.metrics import METRICS
from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.charts.pareto_plots import pareto_plots
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary


def has_costs(record: StudyRecord, summary: StudySummary) -> bool:
    """Whether the study has more metrics than the objective."""
    return len(record.study.settings.metric) > 1


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet while no trial is complete."""
    if not summary.pareto:
        raise NotYet("No trial is complete yet.")
    return {
        "plots": pareto_plots(record, summary.pareto),
        "points": summary.pareto,
        "metrics": {name: METRICS[name] for name in record.study.settings.metric},
        "objective": summary.objective.label,
        "winner_label": summary.winner_label,
        "winner": record.winner.number if record.winner else None,
    }


CARD = Card(
    "pareto",
    "Pareto front",
    "The complete trials that no other complete trial dominates: none is as good in every metric and better in one.",
    build,
    has_costs,
)
