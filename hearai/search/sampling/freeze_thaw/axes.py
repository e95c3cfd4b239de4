"""One parameter of a search space as numbers: where new values are drawn, and where the curve model sees them.

A value has a position in [0, 1], from which new values are drawn: each value of a discrete parameter owns an equal
share of its (log) scale. And it has coordinates, between which distances are measured: one for a number (0 and 1 are
the bounds) or an ordered choice (the rank), one for each value of any other choice.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hearai.config.search_space.domains import Domain, Value

# M points, W coordinates of a parameter

UNKNOWN = 0.5
"""Coordinate and position of a value that the domain does not know, as a prior search may have."""
FURTHEST = 0.5
"""How far beyond the bounds a coordinate may be: a prior search may have had a wider range."""


class Axis(Protocol):
    """Values, positions and coordinates of one parameter."""

    width: int
    """Number of coordinates."""
    count: int | None
    """Number of values; None: they are continuous."""
    is_ordered: bool
    """Whether near positions are similar values."""

    def codes(self, position_M: np.ndarray) -> np.ndarray:
        """Of the values at positions: the value itself of a number, the place in the domain of a choice."""

    def value(self, code: float) -> Value:
        """The value of a code."""

    def coordinates(self, code_M: np.ndarray) -> np.ndarray:
        """`[M, W]`, of codes."""

    def position_of(self, value: Value) -> float:
        """A position of a value; of one beyond the bounds, the nearest."""

    def coordinates_of(self, value: Value) -> np.ndarray:
        """`[W]`, of any value."""


class NumberAxis:
    """A float or int, on its (log) scale, in steps or not."""

    width, is_ordered = 1, True
    count: int | None

    def __init__(self, domain: Domain):
        self._domain = domain
        self._step = domain.step or (1.0 if domain.kind == "int" else None)
        steps = 0 if self._step is None else math.floor((domain.high - domain.low) / self._step + 1e-9)
        self.count = None if self._step is None and domain.high > domain.low else steps + 1
        self._last = domain.high if self._step is None else min(domain.low + steps * self._step, domain.high)
        half = 0.5 * (self._step or 0.0)  # the first and last value own as much as the others
        self._low, self._high = self._scaled(domain.low - half), self._scaled(self._last + half)
        self._first_scaled, self._last_scaled = self._scaled(domain.low), self._scaled(self._last)

    def codes(self, position_M: np.ndarray) -> np.ndarray:
        scaled_M = self._low + position_M * (self._high - self._low)
        value_M = np.exp(scaled_M) if self._domain.log else scaled_M
        if self._step is not None:
            value_M = self._domain.low + self._step * np.rint((value_M - self._domain.low) / self._step)
        return np.clip(value_M, self._domain.low, self._last)

    def value(self, code: float) -> Value:
        return round(code) if self._domain.kind == "int" else float(code)

    def coordinates(self, code_M: np.ndarray) -> np.ndarray:
        scaled_M = np.log(np.maximum(code_M, 1e-300)) if self._domain.log else code_M
        at_M = (scaled_M - self._first_scaled) / (self._last_scaled - self._first_scaled)
        return np.clip(at_M, -FURTHEST, 1 + FURTHEST)[:, None]

    def position_of(self, value: Value) -> float:
        if not isinstance(value, int | float):
            return UNKNOWN
        return min(max((self._scaled(value) - self._low) / (self._high - self._low), 0.0), 1.0)

    def coordinates_of(self, value: Value) -> np.ndarray:
        if not isinstance(value, int | float):
            return np.array([UNKNOWN])
        return self.coordinates(np.array([float(value)]))[0]

    def _scaled(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self._domain.log else float(value)


class ChoiceAxis:
    """A choice: by rank if all its values are numbers or there are two, else all are equally far apart."""

    def __init__(self, values: Sequence[Value]):
        is_number = [isinstance(value, int | float) and not isinstance(value, bool) for value in values]
        self._values = sorted(values, key=float) if all(is_number) else list(values)  # type: ignore[arg-type]
        self._size = len(values)
        self.count: int | None = self._size
        self.is_ordered = all(is_number) or self._size == 2
        self.width = 1 if self.is_ordered else self._size

    def codes(self, position_M: np.ndarray) -> np.ndarray:
        return np.minimum(np.floor(position_M * self._size), self._size - 1)

    def value(self, code: float) -> Value:
        return self._values[int(code)]

    def coordinates(self, code_M: np.ndarray) -> np.ndarray:
        if self.is_ordered:
            return code_M[:, None] / (self._size - 1)
        return math.sqrt(0.5) * (code_M[:, None] == np.arange(self._size))  # two values are at distance 1

    def position_of(self, value: Value) -> float:
        code = self._code(value)
        return UNKNOWN if code is None else (code + 0.5) / self._size

    def coordinates_of(self, value: Value) -> np.ndarray:
        code = self._code(value)
        if code is None:
            return np.full(self.width, UNKNOWN if self.is_ordered else 0.0)
        return self.coordinates(np.array([float(code)]))[0]

    def _code(self, value: Value) -> int | None:
        for code, other in enumerate(self._values):
            if value == other and isinstance(value, bool) == isinstance(other, bool):
                return code
        return None


def can_place(domain: Domain, value: Value) -> bool:
    """Whether the coordinates of a value of another range are where it is, neither unknown nor cut off."""
    axis = axis_of(domain)
    if axis.count == 1 or domain.kind == "choice" or isinstance(value, bool) or not isinstance(value, int | float):
        return domain.contains(value)
    if not math.isfinite(value) or (domain.log and value <= 0):
        return False
    return abs(float(axis.coordinates_of(value)[0]) - 0.5) < 0.5 + FURTHEST


def axis_of(domain: Domain) -> Axis:
    """The axis of a domain."""
    return ChoiceAxis(domain.values) if domain.kind == "choice" else NumberAxis(domain)
