"""Line, bar and strip charts as inline SVG: small, no script, colours from the page's style sheet."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

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


@dataclass(frozen=True)
class _Axis:
    """Maps values to pixels; the first tick lies at `start`, the last at `end`."""

    ticks: Sequence[float]
    start: float
    end: float

    def at(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


def nice_ticks(low: float, high: float, *, integers: bool = False) -> list[float]:
    """About six round numbers that enclose [low, high]; at least two. integers: whole numbers only."""
    raw = (high - low) / 5 or abs(high) / 5 or 1.0
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * (1 - 1e-9))
    step = max(1, round(step)) if integers else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * i, 10) for i in range(first, max(last, first + 1) + 1)]


def line_chart(series: Iterable[Series], *, x_name: str, y_name: str, integer_x: bool = True) -> Markup:
    """An <svg> of all series, later ones above earlier ones; empty where there are no points.

    integer_x: whether the x axis has integer ticks only.
    """
    series = [one for one in series if one.points]
    if not series:
        return Markup("")
    xs, ys = zip(*(point for one in series for point in one.points), strict=True)
    x = _Axis(nice_ticks(min(xs), max(xs), integers=integer_x), MARGIN_LEFT, WIDTH - MARGIN_RIGHT)
    y = _Axis(nice_ticks(min(ys), max(ys)), HEIGHT - MARGIN_BOTTOM, MARGIN_TOP)
    parts = [*_grid(x, y, x_name, y_name), *(_draw_series(one, x, y) for one in series)]
    return _svg(parts, HEIGHT, f"{y_name} by {x_name}")


def _grid(x: _Axis, y: _Axis, x_name: str, y_name: str) -> list[Markup]:
    line = Markup('<line class="grid" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    text = Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>')
    parts = []
    for tick in y.ticks:
        parts += [line.format(x.start, y.at(tick), x.end, y.at(tick))]
        parts += [text.format("y", x.start - 6, y.at(tick) + 4, f"{tick:g}")]
    parts += [text.format("x", x.at(tick), y.start + 16, f"{tick:g}") for tick in x.ticks]
    parts += [text.format("x", x.middle, HEIGHT - 6, x_name)]
    rotated = Markup('<text class="x" transform="translate(12 {:.1f}) rotate(-90)">{}</text>')
    return [*parts, rotated.format(y.middle, y_name)]


def _draw_series(series: Series, x: _Axis, y: _Axis) -> Markup:
    pixels = [(x.at(a), y.at(b)) for a, b in series.points]
    if series.joined and len(pixels) > 1:
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in pixels)
        shape = Markup('<polyline points="{}"/>').format(path)
    else:
        dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3"/>')
        shape = Markup("").join(dot.format(a, b) for a, b in pixels)
    return Markup('<g class="{}"><title>{}</title>{}</g>').format(series.kind, series.label, shape)


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
    return _svg(parts, ROWS_TOP + ROW_HEIGHT * len(shares) + 4, name)


def strip_chart(strips: Sequence[Strip], x_name: str) -> Markup:
    """An <svg> with one row per strip: a dot per seed, a line at the mean, a bar of +- std, a ring at the score by
    which the search selected the config. Empty where there are no rows.
    """
    if not strips:
        return Markup("")
    values = [v for s in strips for v in (*s.values, s.mean - s.std, s.mean + s.std, s.selection_score)]
    known = [value for value in values if value is not None]
    axis = _Axis(nice_ticks(min(known), max(known)), STRIP_NAMES, WIDTH - MARGIN_RIGHT)
    bottom = ROWS_TOP + ROW_HEIGHT * len(strips)
    line = Markup('<line class="grid" x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}"/>')
    text = Markup('<text class="x" x="{:.1f}" y="{}">{}</text>')
    parts = []
    for tick in axis.ticks:
        parts += [line.format(axis.at(tick), ROWS_TOP, bottom), text.format(axis.at(tick), bottom + 14, f"{tick:g}")]
    parts += [text.format(axis.middle, bottom + 30, x_name)]
    parts += [_draw_strip(strip, ROWS_TOP + row * ROW_HEIGHT, axis) for row, strip in enumerate(strips)]
    return _svg(parts, bottom + AXIS_HEIGHT, x_name)


def _draw_strip(strip: Strip, top: float, axis: _Axis) -> Markup:
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
    group = Markup('<g class="{}"><title>{}</title>{}</g>')
    return _row_name(strip.name, top, STRIP_NAMES) + group.format(strip.kind, title, Markup("").join(shapes))


def _row_name(name: str, top: float, end: float) -> Markup:
    """The name of a row that begins at `top`, right-aligned at `end`; the tooltip has the full name."""
    short = name if len(name) <= NAME_LENGTH else "..." + name[3 - NAME_LENGTH :]
    text = Markup('<text class="y" x="{}" y="{:.1f}"><title>{}</title>{}</text>')
    return text.format(end - 8, top + ROW_HEIGHT / 2 + 4, name, short)


def _svg(parts: Sequence[Markup], height: float, name: str) -> Markup:
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, height, name)
    return opening + Markup("\n").join(parts) + Markup("</svg>")
