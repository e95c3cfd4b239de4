"""Parallel coordinates: an axis per parameter, a line per complete trial, which ends at its score."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hearai.reporting.study_report.charts.axes import Axis, DomainAxis, round_axis
from hearai.reporting.study_report.charts.svg import NAME_LENGTH, svg
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord, evenly_spaced

MOST_LINES = 300
"""Complete trials that are drawn, evenly from the best to the worst."""
MOST_AXES = 9
"""Parameters that are drawn; the most important ones."""
BEST_SHARE = 0.1
"""The best trials, which have a colour of their own."""
HEIGHT, TOP, BOTTOM, MISSING_ROOM = 320, 46, 26, 22
"""MISSING_ROOM: below an axis, for trials without the parameter."""
LETTER = 6.5
"""Width of a letter of a name, at most on average."""
COLUMN, MARGIN, LEAST_WIDTH = 100, 56, 900
"""COLUMN: at least this far from axis to axis. The page draws the chart as wide as itself."""


@dataclass(frozen=True)
class Parallel:
    """The chart, and what it leaves out."""

    chart: Markup
    lines: int
    complete: int
    left_out: Sequence[str]
    """Names of parameters without an axis."""


def parallel_coordinates(record: StudyRecord, paths: Sequence[str], names: Mapping[str, str]) -> Parallel:
    """The first `MOST_AXES` of the parameters `paths`, and the score. There must be a complete trial."""
    complete = [trial for trial in record.complete if trial.value is not None]
    winner = record.winner.number if record.winner else None
    shown = _shown(complete, winner)
    drawn, others = paths[:MOST_AXES], paths[MOST_AXES:]
    low, high = TOP, HEIGHT - BOTTOM - MISSING_ROOM
    axes = {
        path: DomainAxis(
            record.study.space.domains[path], high, low, [t.params[path] for t in complete if path in t.params]
        )
        for path in drawn
    }
    score = round_axis([trial.value for trial in complete if trial.value is not None], high, low)
    column = max(COLUMN, round((LEAST_WIDTH - 2 * MARGIN) / max(1, len(drawn))))
    columns = [MARGIN + column * i for i in range(len(drawn) + 1)]
    width = columns[-1] + MARGIN
    best = {trial.number for trial in complete[: math.ceil(BEST_SHARE * len(complete))]}
    parts = [
        _line(trial, _kind(trial, winner, best), [*_heights(trial, axes), score.at(trial.value or 0.0)], columns)
        for trial in shown
    ]
    for i, (path, axis) in enumerate(axes.items()):
        parts.append(_axis(columns[i], axis.axis, names[path], i, width))
    parts.append(_axis(columns[-1], score, record.objective_label, len(drawn), width))
    chart = svg(parts, HEIGHT, "parameters and score of the complete trials", width=width, kind="parallel")
    return Parallel(chart, len(shown), len(complete), [names[path] for path in others])


def _shown(complete: Sequence[TrialRecord], winner: int | None) -> list[TrialRecord]:
    """At most `MOST_LINES`, in drawing order: from the worst to the best, base config and winner at the end."""
    named = [trial for trial in complete if trial.kind == "base" or trial.number == winner]
    others = [trial for trial in complete if trial not in named]
    return [*reversed(evenly_spaced(others, MOST_LINES - len(named))), *reversed(named)]


def _heights(trial: TrialRecord, axes: Mapping[str, DomainAxis]) -> list[float]:
    """Pixels on each axis; below it where the trial does not have the parameter."""
    return [axis.at(trial.params[path]) if path in trial.params else HEIGHT - BOTTOM for path, axis in axes.items()]


def _kind(trial: TrialRecord, winner: int | None, best: set[int]) -> str:
    """Class of the page's style sheet."""
    if trial.number == winner:
        return "winner"
    return "base" if trial.kind == "base" else "best" if trial.number in best else "other"


def _line(trial: TrialRecord, kind: str, heights: Sequence[float], columns: Sequence[float]) -> Markup:
    path = "L".join(f"{x} {y:.0f}" for x, y in zip(columns, heights, strict=True))
    return Markup('<g class="{}" data-t="{}"><path class="line" d="M{}"/></g>').format(kind, trial.number, path)


def _axis(x: float, axis: Axis, name: str, column: int, width: int) -> Markup:
    """One axis; names are in two rows, in turn, as neighbours would overlap, and inside of the chart."""
    short = name if len(name) <= NAME_LENGTH else "..." + name[3 - NAME_LENGTH :]
    half = math.ceil(len(short) * LETTER / 2)
    parts = [
        Markup('<line x1="{0}" y1="{1:.1f}" x2="{0}" y2="{2:.1f}"/>').format(x, axis.end, axis.start),
        Markup('<text class="x name" x="{}" y="{}">{}<title>{}</title></text>').format(
            min(max(x, half), width - half), 14 if column % 2 else 30, short, name
        ),
    ]
    parts += [
        Markup('<text class="tick" x="{}" y="{:.1f}">{}</text>').format(x + 5, axis.at(tick) + 4, label)
        for tick, label in axis.ticks
    ]
    group = Markup('<g class="axis" data-x="{}" data-top="{:.1f}" data-bottom="{:.1f}" data-name="{}">{}</g>')
    return group.format(x, axis.end, axis.start, name, Markup("").join(parts))
