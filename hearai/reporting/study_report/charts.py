"""Line charts as inline SVG: small, no script, colours from the page's style sheet."""

import math
from collections.abc import Callable, Iterable, Sequence
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


WIDTH, NAMES, SHORT, RIGHT = 720, 230, 90, 64
"""Of the picture, of names of parameters and of trials on the left, and of the room for a number on the right."""


ROW, TOP, BOTTOM = 24, 6, 36


LETTERS = 34
"""A longer name is cut at the front: its end tells it from others."""


@dataclass(frozen=True)
class Strip:
    """One finalist."""

    name: str
    dots: Sequence[float]
    """A score for each fresh seed."""
    mean: float
    std: float
    before: float | None
    """Its score in the search, which chose it; None where it had none."""
    kind: str = "other"
    """Class of the page's style sheet: winner, base or other."""


def bar_chart(shares: Sequence[tuple[str, float]], name: str) -> Markup:
    """An <svg> with a bar a row: (name, share of 1); nothing where there are no rows."""
    if not shares:
        return Markup("")
    largest = max(share for _, share in shares) or 1.0
    bar = Markup('<rect class="bar" x="{}" y="{:.1f}" width="{:.1f}" height="{}"/>')
    number = Markup('<text x="{:.1f}" y="{:.1f}">{:.0f} %</text>')
    parts = []
    for row, (label, share) in enumerate(shares):
        length = share / largest * (WIDTH - NAMES - RIGHT)
        top = TOP + row * ROW
        parts += [_label(label, top, NAMES), bar.format(NAMES, top + 4, length, ROW - 8)]
        parts += [number.format(NAMES + length + 6, top + ROW / 2 + 4, 100 * share)]
    return _svg(parts, TOP + ROW * len(shares) + 4, name)


def strip_chart(strips: Sequence[Strip], x_name: str) -> Markup:
    """An <svg> with a row a finalist: a dot a seed, a line at their mean, a bar of +- std around it.

    A ring stands at the score in the search: far right of the dots, it was luck. Nothing where there are no rows.
    """
    if not strips:
        return Markup("")
    known = [v for s in strips for v in (*s.dots, s.mean - s.std, s.mean + s.std, s.before) if v is not None]
    ticks = nice_ticks(min(known), max(known))
    end = TOP + ROW * len(strips)

    def at(value: float) -> float:
        return SHORT + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - SHORT - 20)

    line = Markup('<line class="grid" x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}"/><text class="x" {3}>{4:g}</text>')
    place = 'x="{:.1f}" y="{}"'
    parts = [line.format(at(t), TOP, end, Markup(place.format(at(t), end + 14)), t) for t in ticks]
    parts += [
        Markup('<text class="x" x="{:.1f}" y="{}">{}</text>').format(at(sum(ticks) / len(ticks)), end + 30, x_name)
    ]
    parts += [_strip(strip, TOP + row * ROW, at) for row, strip in enumerate(strips)]
    return _svg(parts, end + BOTTOM, x_name)


def _strip(strip: Strip, top: float, at: Callable[[float], float]) -> Markup:
    middle = top + ROW / 2
    bar = Markup('<rect class="spread" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="10"/>')
    mean = Markup('<line class="mean" x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}"/>')
    dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.5"/>')
    ring = Markup('<circle class="ring" cx="{:.1f}" cy="{:.1f}" r="4.5"/>')
    shapes = [
        bar.format(at(strip.mean - strip.std), middle - 5, at(strip.mean + strip.std) - at(strip.mean - strip.std)),
        *([] if strip.before is None else [ring.format(at(strip.before), middle)]),
        *(dot.format(at(value), middle) for value in strip.dots),
        mean.format(at(strip.mean), middle - 9, middle + 9),
    ]
    title = f"{strip.name}: mean {strip.mean:.3f}; seeds {', '.join(f'{value:.3f}' for value in strip.dots)}"
    group = Markup('<g class="{}"><title>{}</title>{}</g>')
    return _label(strip.name, top, SHORT) + group.format(strip.kind, title, Markup("").join(shapes))


def _label(name: str, top: float, end: float) -> Markup:
    short = name if len(name) <= LETTERS else "..." + name[3 - LETTERS :]
    return Markup('<text class="y" x="{}" y="{:.1f}"><title>{}</title>{}</text>').format(
        end - 8, top + ROW / 2 + 4, name, short
    )


def _svg(parts: Sequence[Markup], height: float, name: str) -> Markup:
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, height, name)
    return opening + Markup("\n").join(parts) + Markup("</svg>")
