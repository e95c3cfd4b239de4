"""Line, bar and strip charts as inline SVG: small, complete without a script, colours from the page's style sheet.

Shapes of a trial carry its number (`data-t`, or `data-ts` for many dots in one path), by which the page's script finds
the trial under the pointer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hearai.reporting.study_report.charts.axes import Axis, round_axis

WIDTH = 720
HEIGHT = 300
"""Of a line chart; the height of the others depends on their number of rows."""
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 64, 20, 12, 40
"""Room around a line chart for the labels of its axes."""
ROW_HEIGHT, ROWS_TOP, AXIS_HEIGHT = 24, 6, 36
"""Of bar and strip charts: a row, the room above the rows, and the room for the axis below them."""
BAR_NAMES, BAR_NUMBERS, STRIP_NAMES = 230, 64, 90
"""Width of the names on the left of bars and strips, and of the number to the right of the longest bar."""
NAME_LENGTH = 34
"""Characters of the longest name; of a longer one the end is shown, which distinguishes it from others."""


@dataclass(frozen=True)
class Series:
    """Points of a line chart, joined by a line or not."""

    points: Sequence[tuple[float, float]]
    label: str
    """Tooltip."""
    kind: str = "other"
    """Class of the page's style sheet: winner, base, best, stopped or other."""
    joined: bool = True
    trial: int | None = None
    """The trial that it belongs to, if it is one trial's."""
    end: str = ""
    """How the trial ended, marked at the last point: a name of `END_MARKS`, or nothing."""


@dataclass(frozen=True)
class Dots:
    """Many dots of a line chart in one shape, which takes a tenth of the space of as many series."""

    points: Sequence[tuple[int, float, float]]
    """(trial, x, y)"""
    kind: str = "other"
    """Class of the page's style sheet, see `Series`."""


@dataclass(frozen=True)
class Strip:
    """A row of a strip chart: the scores of one config."""

    name: str
    values: Sequence[float]
    """One per seed."""
    mean: float
    std: float
    selection_score: float | None
    """The score by which the search selected the config; None where there is none."""
    kind: str = "other"
    """Class of the page's style sheet: winner, base or other."""
    trial: int | None = None
    """The trial whose config it is, if any."""


END_MARKS = {
    "stopped": "M{x:.1f} {y:.1f}m-3-3l6 6m0-6l-6 6",
    "paused": "M{x:.1f} {y:.1f}m-2-4v8m4-8v8",
}
"""{how a curve ends: path of the mark}: a cross, and two bars."""


def line_chart(
    series: Iterable[Series | Dots],
    *,
    x_name: str,
    y_name: str,
    integer_x: bool = True,
) -> Markup:
    """An <svg> of all series, later ones above earlier ones; empty where there are no points.

    integer_x: whether the x axis has integer ticks only.
    """
    series = [one for one in series if one.points]
    if not series:
        return Markup("")
    xs, ys = zip(*(point[-2:] for one in series for point in one.points), strict=True)
    x = round_axis(xs, MARGIN_LEFT, WIDTH - MARGIN_RIGHT, integers=integer_x)
    y = round_axis(ys, HEIGHT - MARGIN_BOTTOM, MARGIN_TOP)
    parts = [*grid(x, y, x_name, y_name, HEIGHT), *(draw(one, x, y) for one in series)]
    return svg(parts, HEIGHT, f"{y_name} by {x_name}")


def grid(x: Axis, y: Axis, x_name: str, y_name: str, height: float) -> list[Markup]:
    """Grid lines, tick labels and names of both axes."""
    line = Markup('<line class="grid" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    text = Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>')
    parts = []
    for tick, label in y.ticks:
        parts += [line.format(x.start, y.at(tick), x.end, y.at(tick))]
        parts += [text.format("y", x.start - 6, y.at(tick) + 4, label)]
    parts += [text.format("x", x.at(tick), y.start + 16, label) for tick, label in x.ticks]
    if x_name:
        parts += [text.format("x", x.middle, height - 6, x_name)]
    if y_name:
        rotated = Markup('<text class="x" transform="translate(12 {:.1f}) rotate(-90)">{}</text>')
        parts += [rotated.format(y.middle, y_name)]
    return parts


def draw(series: Series | Dots, x: Axis, y: Axis) -> Markup:
    """The shapes of a series."""
    if isinstance(series, Dots):
        return dots_path([(trial, x.at(a), y.at(b)) for trial, a, b in series.points], series.kind)
    pixels = [(x.at(a), y.at(b)) for a, b in series.points]
    if series.joined and len(pixels) > 1:
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in pixels)
        shape = Markup('<polyline points="{}"/>').format(path)
    else:
        dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3"/>')
        shape = Markup("").join(dot.format(a, b) for a, b in pixels)
    if series.end:
        shape += Markup('<path class="end" d="{}"/>').format(
            END_MARKS[series.end].format(x=pixels[-1][0], y=pixels[-1][1])
        )
    group = Markup('<g class="{}"{}><title>{}</title>{}</g>')
    return group.format(series.kind, _trial_attribute(series.trial), series.label, shape)


def _trial_attribute(trial: int | None) -> Markup:
    return Markup("") if trial is None else Markup(' data-t="{}"').format(trial)


def dots_path(points: Sequence[tuple[int, float, float]], kind: str) -> Markup:
    """Dots as one path of lines of no length with round ends. points: (trial, x, y) in pixels."""
    if not points:
        return Markup("")
    path = "".join(f"M{x:.1f} {y:.1f}h0" for _, x, y in points)
    trials = " ".join(str(trial) for trial, _, _ in points)
    return Markup('<g class="{}" data-ts="{}"><path class="dots" d="{}"/></g>').format(kind, trials, path)


def bar_chart(shares: Sequence[tuple[str, float]], name: str) -> Markup:
    """An <svg> with one bar per row of (name, share in [0, 1]), as a percentage; empty where there are no rows."""
    if not shares:
        return Markup("")
    largest = max(share for _, share in shares) or 1.0
    bar = Markup('<rect class="bar" x="{}" y="{:.1f}" width="{:.1f}" height="{}"/>')
    number = Markup('<text x="{:.1f}" y="{:.1f}">{:.0f} %</text>')
    parts = []
    for row, (label, share) in enumerate(shares):
        length = share / largest * (WIDTH - BAR_NAMES - BAR_NUMBERS)
        top = ROWS_TOP + row * ROW_HEIGHT
        parts += [_row_name(label, top, BAR_NAMES), bar.format(BAR_NAMES, top + 4, length, ROW_HEIGHT - 8)]
        parts += [number.format(BAR_NAMES + length + 6, top + ROW_HEIGHT / 2 + 4, 100 * share)]
    return svg(parts, ROWS_TOP + ROW_HEIGHT * len(shares) + 4, name)


def strip_chart(strips: Sequence[Strip], x_name: str) -> Markup:
    """An <svg> with one row per strip: a dot per seed, a line at the mean, a bar of +- std, a ring at the score by
    which the search selected the config. Empty where there are no rows.
    """
    if not strips:
        return Markup("")
    values = [v for s in strips for v in (*s.values, s.mean - s.std, s.mean + s.std, s.selection_score)]
    known = [value for value in values if value is not None]
    axis = round_axis(known, STRIP_NAMES, WIDTH - MARGIN_RIGHT)
    bottom = ROWS_TOP + ROW_HEIGHT * len(strips)
    line = Markup('<line class="grid" x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}"/>')
    text = Markup('<text class="x" x="{:.1f}" y="{}">{}</text>')
    parts = []
    for tick, label in axis.ticks:
        parts += [line.format(axis.at(tick), ROWS_TOP, bottom), text.format(axis.at(tick), bottom + 14, label)]
    parts += [text.format(axis.middle, bottom + 30, x_name)]
    parts += [_draw_strip(strip, ROWS_TOP + row * ROW_HEIGHT, axis) for row, strip in enumerate(strips)]
    return svg(parts, bottom + AXIS_HEIGHT, x_name)


def _draw_strip(strip: Strip, top: float, axis: Axis) -> Markup:
    middle = top + ROW_HEIGHT / 2
    bar = Markup('<rect class="spread" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="10"/>')
    mean = Markup('<line class="mean" x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}"/>')
    dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.5"/>')
    ring = Markup('<circle class="ring" cx="{:.1f}" cy="{:.1f}" r="4.5"/>')
    low, high = axis.at(strip.mean - strip.std), axis.at(strip.mean + strip.std)
    shapes = [
        bar.format(low, middle - 5, high - low),
        *([] if strip.selection_score is None else [ring.format(axis.at(strip.selection_score), middle)]),
        *(dot.format(axis.at(value), middle) for value in strip.values),
        mean.format(axis.at(strip.mean), middle - 9, middle + 9),
    ]
    title = f"{strip.name}: mean {strip.mean:.3f}; seeds {', '.join(f'{value:.3f}' for value in strip.values)}"
    group = Markup('<g class="{}"{}><title>{}</title>{}</g>')
    return _row_name(strip.name, top, STRIP_NAMES) + group.format(
        strip.kind, _trial_attribute(strip.trial), title, Markup("").join(shapes)
    )


def _row_name(name: str, top: float, end: float) -> Markup:
    """The name of a row that begins at `top`, right-aligned at `end`; the tooltip has the full name."""
    short = name if len(name) <= NAME_LENGTH else "..." + name[3 - NAME_LENGTH :]
    text = Markup('<text class="y" x="{}" y="{:.1f}"><title>{}</title>{}</text>')
    return text.format(end - 8, top + ROW_HEIGHT / 2 + 4, name, short)


def svg(parts: Sequence[Markup], height: float, name: str, *, width: float = WIDTH, kind: str = "") -> Markup:
    """An <svg> of these parts. name: for screen readers. kind: class of the page's style sheet."""
    css = Markup(' class="{}"').format(kind) if kind else Markup("")
    opening = Markup('<svg{} viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(css, width, height, name)
    return opening + Markup("\n").join(parts) + Markup("</svg>")
