"""The parameters of a search: values of base config and winner, and which of them decide."""

from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report import tables
from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.charts.svg import bar_chart
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary


def build_parameters(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """The rows of the table, and the command that trains the winner again once there is one."""
    return {
        "rows": tables.parameter_rows(record),
        "winner_label": summary.winner_label,
        "train_command": tables.train_command(record),
    }


def build_importance(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet where the shares are unknown."""
    names, shares = tables.short_names_of(record), summary.importance.items()
    bars = [(names[path], share) for path, share in shares if share >= tables.MIN_SHARE]
    if not bars:
        raise NotYet(f"Unknown: {summary.importance_note}.")
    return {
        "chart": bar_chart(bars, "importance"),
        "unimportant": [names[path] for path, share in shares if share < tables.MIN_SHARE],
    }


PARAMETERS = Card("parameters", "Parameters", "", build_parameters)
IMPORTANCE = Card(
    "importance",
    "Importance",
    "How strongly each parameter decides whether a trial is among the best: PED-ANOVA over complete and stopped "
    "trials; for a conditional parameter, over the trials that have it.",
    build_importance,
)
