"""`report.html`: one page that needs nothing but a browser."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hearai.overrides import get_path
from hearai.reporting import tables
from hearai.reporting.charts import Series, line_chart
from hearai.reporting.record import Record, TrialRecord
from hearai.reporting.verdict import headline

TEMPLATES = Path(__file__).with_name("templates")


def render_page(record: Record, summary: Mapping[str, Any]) -> str:
    """The whole page; it says so where a search is unfinished or empty."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    pages = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters |= {"plain": tables.plain, "score": tables.score, "duration": tables.duration}
    pages.globals |= {"gain": tables.gain}
    winner = record.winner
    return pages.get_template("report.html.j2").render(
        study=record.study,
        summary=summary,
        headline=headline(summary),
        written=time.strftime("%F %T"),
        train_command=tables.train_command(record),
        heads=tables.head_rows(summary),
        parameters=_parameter_rows(record),
        names=tables.short_names(record.study.space.domains),
        trials=sorted(record.trials, key=_rank),
        winner_number=winner.number if winner else None,
        curves=_learning_curves(record),
        progress=_progress(record),
    )


def _rank(trial: TrialRecord) -> tuple[float, int]:
    """The best first; those without a value at the end."""
    return (-trial.value if trial.value is not None else 1.0, trial.number)


def _parameter_rows(record: Record) -> list[tuple[str, str, Any, Any]]:
    """(path, domain, base config's value, winner's value); empty where the winner does not have the parameter."""
    chosen = record.winner.params if record.winner else {}
    return [
        (path, str(domain), get_path(record.study.base, path), chosen.get(path, ""))
        for path, domain in record.study.space.domains.items()
    ]


def _kind(trial: TrialRecord, winner: TrialRecord | None) -> str:
    if winner is not None and trial.number == winner.number:
        return "winner"
    return "base" if trial.kind == "base" else "other" if trial.state == "COMPLETE" else "stopped"


def _learning_curves(record: Record) -> Markup:
    """Validation macro-F1 by epoch of every trial; base config and winner in front."""
    order = ["stopped", "other", "base", "winner"]
    lines = [
        Series(list(trial.curve.items()), _label(trial), _kind(trial, record.winner))
        for trial in record.trials
        if trial.curve
    ]
    return line_chart(
        sorted(lines, key=lambda line: order.index(line.kind)), x_name="epoch", y_name="validation macro-F1"
    )


def _progress(record: Record) -> Markup:
    """The objective of every trial in the order of the search, and the best complete one so far."""
    known = [trial for trial in record.trials if trial.value is not None]
    dots = [
        Series([(trial.number, trial.value)], _label(trial), _kind(trial, record.winner), joined=False)
        for trial in known
    ]
    return line_chart([*_best_so_far(known), *dots], x_name="trial", y_name="validation macro-F1, best epoch")


def _best_so_far(trials: Sequence[TrialRecord]) -> list[Series]:
    """A staircase over the complete trials."""
    points: list[tuple[float, float]] = []
    for trial in trials:
        if trial.state != "COMPLETE":
            continue
        before = points[-1][1] if points else trial.value
        points += [(trial.number, before), (trial.number, max(before, trial.value))]
    if points:
        points.append((trials[-1].number, points[-1][1]))
    return [Series(points, "best complete trial so far", "best")]


def _label(trial: TrialRecord) -> str:
    return f"trial {trial.number} ({trial.kind}, {trial.state.lower()}): {tables.score(trial.value)}"
