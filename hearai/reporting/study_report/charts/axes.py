"""Axes of charts: from values to pixels, with ticks at round numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hearai.config.search_space.domains import Domain, Value
from hearai.reporting.text import plain, shorten

MOST_LOG_TICKS = 6
LETTER = 6.0
"""Pixels of a letter, about."""


@dataclass(frozen=True)
class Axis:
    """Maps values to pixels: `low` lies at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float
    ticks: Sequence[tuple[float, str]]
    """(value, label), ascending."""
    log: bool = False

    def at(self, value: float) -> float:
        scale = math.log if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return self.start + share * (self.end - self.start)

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


def nice_ticks(low: float, high: float, *, integers: bool = False) -> list[float]:
    """About six round numbers that enclose [low, high]; at least two. integers: whole numbers only."""
    largest = max(abs(low), abs(high))
    if math.isclose(low, high, rel_tol=1e-6):  # equal but for rounding
        low = high
    raw = (high - low) / 5 or largest / 5 or 1.0
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * (1 - 1e-9))
    step = max(1, round(step)) if integers else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * i, 10) for i in range(first, max(last, first + 1) + 1)]


def round_axis(values: Sequence[float], start: float, end: float, *, integers: bool = False) -> Axis:
    """An axis whose first and last ticks are round numbers that enclose the values."""
    ticks = nice_ticks(min(values), max(values), integers=integers)
    return Axis(ticks[0], ticks[-1], start, end, [(tick, f"{tick:g}") for tick in ticks])


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten in [low, high], with 2 and 5 times these where there is room for them; the bounds if all fail."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [round(factor * 10.0**power, 12) for power in powers for factor in factors]
        inside = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if 2 <= len(inside) <= MOST_LOG_TICKS:
            return inside
    return [low, high]


class DomainAxis:
    """The axis of a parameter: exactly its range, with a margin; the values of a choice at equal distances."""

    def __init__(self, domain: Domain, start: float, end: float, seen: Sequence[Value] = (), label_room: float = 90):
        """seen: values of trials, which a range that was narrowed later may not contain.

        label_room: pixels for the label of a choice; the end of a longer one is left out.
        """
        self.choices = [*domain.values, *(v for v in dict.fromkeys(seen) if not _is_in(v, domain.values))]
        self.is_choice = domain.kind == "choice"
        if self.is_choice:
            ticks = [
                (float(i), shorten(plain(value), int(label_room / LETTER))) for i, value in enumerate(self.choices)
            ]
            self.axis = Axis(-0.5, len(self.choices) - 0.5, start, end, ticks)
            return
        numbers = [float(value) for value in seen if isinstance(value, int | float)]
        low, high = min([domain.low, *numbers]), max([domain.high, *numbers])
        if low == high:
            low, high = (low / 2, high * 2) if domain.log else (low - 1, high + 1)
        inner = (
            log_ticks(low, high)
            if domain.log and high >= 10 * low
            else nice_ticks(low, high, integers=domain.kind == "int")
        )
        slack = 1e-9 * (high - low)
        labels = [(tick, f"{tick:g}") for tick in inner if low - slack <= tick <= high + slack]
        self.axis = Axis(low, high, start, end, labels, domain.log)

    def at(self, value: Value) -> float:
        """The pixel of a parameter's value."""
        if not self.is_choice:
            return self.axis.at(float(value))  # type: ignore[arg-type]
        return self.axis.at(next(i for i, choice in enumerate(self.choices) if _is_same(value, choice)))

    @property
    def band(self) -> float:
        """Pixels between two choices; 0 for a range."""
        return abs(self.axis.end - self.axis.start) / len(self.choices) if self.is_choice else 0.0


def _is_same(one: Value, other: Value) -> bool:
    """Equal, where true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _is_in(value: Value, values: Sequence[Value]) -> bool:
    return any(_is_same(value, other) for other in values)
