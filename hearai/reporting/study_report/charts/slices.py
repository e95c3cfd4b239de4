"""Slices: the score of each trial over its value of one parameter, a small chart per parameter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hearai.config.search_space.domains import Domain
from hearai.reporting.study_report.charts.axes import DomainAxis, round_axis
from hearai.reporting.study_report.charts.course import DRAWING_ORDER, kind_of
from hearai.reporting.study_report.charts.svg import dots_path, grid, svg
from hearai.reporting.study_report.findings.boundary import Boundary
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 24
JITTER = 0.5
"""Share of the room of a choice over which its dots are spread, so that they do not hide each other."""


@dataclass(frozen=True)
class Slice:
    """One parameter."""

    path: str
    name: str
    chart: Markup
    missing: int
    """Trials without the parameter: its condition does not hold."""
    warning: str
    """Where the best values lie, if the range should be widened; empty otherwise."""


def slices(
    record: StudyRecord, paths: Sequence[str], names: Mapping[str, str], ends: Sequence[Boundary]
) -> list[Slice]:
    """The parameters `paths` of the space, in this order. ends: the ranges that should be widened."""
    known = [trial for trial in record.trials if trial.value is not None]
    return [
        _slice(record, known, path, names[path], [end for end in ends if end.path == path])
        for path in paths
        if any(path in trial.params for trial in known)
    ]


def _slice(record: StudyRecord, known: Sequence[TrialRecord], path: str, name: str, ends: Sequence[Boundary]) -> Slice:
    having, domain = [trial for trial in known if path in trial.params], record.study.space.domains[path]
    room = (WIDTH - LEFT - RIGHT) / max(1, len(domain.values))
    axis = DomainAxis(domain, LEFT, WIDTH - RIGHT, [trial.params[path] for trial in having], room)
    values = [trial.value for trial in known if trial.value is not None]
    score = round_axis(values, HEIGHT - BOTTOM, TOP)
    winner = record.winner.number if record.winner else None
    dots: dict[str, list[tuple[int, float, float]]] = {kind: [] for kind in DRAWING_ORDER}
    for trial in having:
        x = axis.at(trial.params[path]) + _jitter(trial.number) * axis.band
        dots[kind_of(trial, winner)].append((trial.number, x, score.at(trial.value or 0.0)))
    parts = [*(_shade(axis, domain, end) for end in ends), *grid(axis.axis, score, "", "", HEIGHT)]
    parts += [dots_path(points, kind) for kind, points in dots.items()]
    label = f"validation {record.objective_label} by {name}"
    chart = svg(parts, HEIGHT, label, width=WIDTH, kind="small")
    return Slice(path, name, chart, len(known) - len(having), "; ".join(end.finding for end in ends))


def _jitter(number: int) -> float:
    """A share of the band around 0, which looks random and is the same every time."""
    return JITTER * ((number * 0.6180339887) % 1 - 0.5)


def _shade(axis: DomainAxis, domain: Domain, end: Boundary) -> Markup:
    """The end of the range in which the best values lie."""
    bound = axis.at(domain.high if end.is_upper else domain.low)
    left, right = sorted((bound, axis.at(end.edge)))
    rect = Markup('<rect class="end-of-range" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>')
    return rect.format(left, TOP, max(right - left, 3.0), HEIGHT - BOTTOM - TOP)
