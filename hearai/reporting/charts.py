"""Line charts as inline SVG: small, no script, colours from the page's style sheet."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 12, 40
"""Room around the plot for the axes' numbers and names."""


@dataclass(frozen=True)
class Series:
    """Points joined by a line, or points alone."""

    points: Sequence[tuple[float, float]]
    label: str
    """Shown where the pointer rests on it."""
    kind: str = "other"
    """Class of the page's style sheet: winner, base, best, stopped or other."""
    joined: bool = True


@dataclass(frozen=True)
class _Axis:
    """Numbers of one axis -> pixels."""

    ticks: Sequence[float]
    start: float
    end: float

    def at(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def line_chart(series: Iterable[Series], *, x_name: str, y_name: str, whole_x: bool = True) -> Markup:
    """An <svg> of all series, the later above the earlier; nothing where there are no points.

    whole_x: whether the x axis counts things, and has whole numbers alone.
    """
    series = [one for one in series if one.points]
    if not series:
        return Markup("")
    xs, ys = zip(*(point for one in series for point in one.points), strict=True)
    x = _Axis(nice_ticks(min(xs), max(xs), whole=whole_x), LEFT, WIDTH - RIGHT)
    y = _Axis(nice_ticks(min(ys), max(ys)), HEIGHT - BOTTOM, TOP)
    parts = [*_grid(x, y, x_name, y_name), *(_drawn(one, x, y) for one in series)]
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{} by {}">').format(WIDTH, HEIGHT, y_name, x_name)
    return opening + Markup("\n").join(parts) + Markup("</svg>")


def nice_ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About six round numbers that enclose [low, high]; at least two."""
    raw = (high - low) / 5 or abs(high) / 5 or 1.0
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * (1 - 1e-9))
    step = max(1, round(step)) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * i, 10) for i in range(first, max(last, first + 1) + 1)]


def _grid(x: _Axis, y: _Axis, x_name: str, y_name: str) -> list[Markup]:
    line = Markup('<line class="grid" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
    text = Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>')
    parts = []
    for tick in y.ticks:
        parts += [line.format(x.start, y.at(tick), x.end, y.at(tick))]
        parts += [text.format("y", x.start - 6, y.at(tick) + 4, f"{tick:g}")]
    for tick in x.ticks:
        parts += [text.format("x", x.at(tick), y.start + 16, f"{tick:g}")]
    parts += [text.format("x", (x.start + x.end) / 2, HEIGHT - 6, x_name)]
    turned = Markup('<text class="x" transform="translate(12 {:.1f}) rotate(-90)">{}</text>')
    return [*parts, turned.format((y.start + y.end) / 2, y_name)]


def _drawn(one: Series, x: _Axis, y: _Axis) -> Markup:
    places = [(x.at(a), y.at(b)) for a, b in one.points]
    if one.joined and len(places) > 1:
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        shape = Markup('<polyline points="{}"/>').format(path)
    else:
        dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3"/>')
        shape = Markup("").join(dot.format(a, b) for a, b in places)
    return Markup('<g class="{}"><title>{}</title>{}</g>').format(one.kind, one.label, shape)
