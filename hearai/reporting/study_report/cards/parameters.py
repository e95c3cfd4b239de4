"""The parameters of a search: values of base config and winner, and which of them decide."""

from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report import tables
from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.charts.parallel import parallel_coordinates
from hearai.reporting.study_report.charts.slices import slices
from hearai.reporting.study_report.charts.svg import bar_chart
from hearai.reporting.study_report.findings.boundary import ends_to_widen
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary

SLICES_SHOWN = 6
"""Parameters whose slices are visible; the others unfold."""
MIN_LINES = 4
"""Fewer complete trials make no parallel coordinates."""


def build_parameters(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """The rows of the table."""
    return {
        "rows": tables.parameter_rows(record),
        "winner_label": summary.winner_label,
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


def build_slices(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet while no trial has a score."""
    found = slices(record, _by_importance(record, summary), tables.short_names_of(record), ends_to_widen(record))
    if not found:
        raise NotYet("No trial has a score yet.")
    return {"slices": found, "shown": SLICES_SHOWN, "winner_label": summary.winner_label}


def build_parallel(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet while a trial is not compared with enough others."""
    complete = len(record.complete)
    if complete < MIN_LINES:
        raise NotYet(f"Needs {MIN_LINES} complete trials; there {'is' if complete == 1 else 'are'} {complete}.")
    plot = parallel_coordinates(record, _by_importance(record, summary), tables.short_names_of(record))
    return {"plot": plot, "winner_label": summary.winner_label}


def _by_importance(record: StudyRecord, summary: StudySummary) -> list[str]:
    """The parameters of the space, the most important first; the others in the order of the space."""
    return sorted(record.study.space.domains, key=lambda path: -summary.importance.get(path, 0.0))


PARAMETERS = Card(
    "parameters",
    "Parameters",
    "What the search could set. Bold: not the value of the base config. A dash: its condition does not hold.",
    build_parameters,
)
IMPORTANCE = Card(
    "importance",
    "Importance",
    "How strongly each parameter decides whether a trial is among the best: PED-ANOVA over complete and stopped "
    "trials; for a conditional parameter, over the trials that have it.",
    build_importance,
)

SLICES = Card(
    "slices",
    "Score by parameter",
    "Each dot is a trial: its score over its value of one parameter. The most important parameter is first, if known.",
    build_slices,
)
PARALLEL = Card(
    "parallel-coordinates",
    "Parallel coordinates",
    "Each line is a complete trial: its values from left to right, and its score at the end.",
    build_parallel,
)
