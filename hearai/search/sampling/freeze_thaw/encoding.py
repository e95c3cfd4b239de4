"""Points of a search space as vectors.

A point has a position in [0, 1] for each parameter, from which new points are drawn, and a vector of coordinates,
between which the curve model measures distances: one coordinate for a number or a choice of numbers (its rank), one for
each value of any other choice. A parameter that is inactive has the same coordinates in all points, so that it does not
count; that a point lacks it is known from the parameter that its condition is about.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hearai.config.config import Config
from hearai.config.domains import Domain, Value
from hearai.config.space import Space

# P parameters, C coordinates, N points

INACTIVE = 0.5
"""Position of a parameter that a point does not have."""
FURTHEST = 0.5
"""How far outside of [0, 1] the position of a value beyond the bounds may be: it is of another search's wider range."""


class Encoding:
    """The parameters of a space that have more than one value."""

    def __init__(self, space: Space, base: Config):
        self._space, self._base = space, base
        domains = {name: domain for name, domain in space.domains.items() if len(set(domain.corners())) > 1}
        self._axes = {name: _Axis(domain) for name, domain in domains.items()}
        self.parameters = len(domains)
        self.parameter_of_C = np.repeat(np.arange(self.parameters), [axis.width for axis in self._axes.values()])
        """Number of the parameter of each coordinate."""
        self._index = {name: number for number, name in enumerate(domains)}

    def point(self, position_P: np.ndarray) -> dict[str, Value]:
        """The parameters at a position; conditions hold, rules may not."""
        positions = position_P.tolist()

        def choose(name: str, domain: Domain) -> Value:
            number = self._index.get(name)
            return domain.corners()[0] if number is None else self._axes[name].value(positions[number])

        return self._space.walk(choose, self._base)

    def is_allowed(self, params: Mapping[str, Value]) -> bool:
        """Whether a point satisfies the rules of the space."""
        return self._space.violation(params, self._base) is None

    def position(self, params: Mapping[str, Value]) -> np.ndarray:
        """The position of a point, `[P]`; values outside of the space are at most `FURTHEST` beyond its ends."""
        return np.array([self._position(name, axis, params) for name, axis in self._axes.items()])

    def vector(self, params: Mapping[str, Value]) -> np.ndarray:
        """The coordinates of a point, `[C]`."""
        return np.array(self._coordinates(params))

    def vectors(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """The coordinates of points, `[N, C]`."""
        found = [self._coordinates(params) for params in points]
        return np.array(found, dtype=float).reshape(len(points), len(self.parameter_of_C))

    def _coordinates(self, params: Mapping[str, Value]) -> list[float]:
        found: list[float] = []
        for name, axis in self._axes.items():
            if axis.width == 1:
                found.append(self._position(name, axis, params))
            else:
                found += axis.one_hot(params[name]) if name in params else [0.0] * axis.width
        return found

    def _position(self, name: str, axis: "_Axis", params: Mapping[str, Value]) -> float:
        if name in params:
            return axis.position(params[name])
        if axis.is_conditional or axis.is_choice:
            return INACTIVE
        return axis.position(self._space.base_value(name, self._base))  # the base config's, which the space may lack


class _Axis:
    """One parameter: positions in [0, 1] for its values."""

    def __init__(self, domain: Domain):
        self._domain, self.is_choice, self.is_conditional = domain, domain.kind == "choice", bool(domain.when)
        is_number = [isinstance(value, int | float) and not isinstance(value, bool) for value in domain.values]
        values = sorted(domain.values, key=float) if all(is_number) else list(domain.values)  # type: ignore[arg-type]
        self._values = values
        self._rank = {_key(value): rank for rank, value in enumerate(values)}
        self.width = 1 if not self.is_choice or all(is_number) or len(values) == 2 else len(values)
        """Number of coordinates."""
        if self.is_choice:
            return
        widen = 0.5 if domain.kind == "int" else 0.0
        self._step = None if domain.log else domain.step or (1 if domain.kind == "int" else None)
        self._count = math.floor((domain.high - domain.low) / self._step + 1e-9) + 1 if self._step else 0
        if domain.log:
            self._low, self._high = math.log(domain.low), math.log(domain.high)
            self._draw_low, self._draw_high = math.log(max(domain.low - widen, 1e-12)), math.log(domain.high + widen)
        else:
            self._low, self._high = domain.low, domain.high

    def value(self, position: float) -> Value:
        """The value at a position in [0, 1]; each of several discrete values has an equal share."""
        domain = self._domain
        if self.is_choice:
            return self._values[min(int(position * len(self._values)), len(self._values) - 1)]
        if domain.log:
            value = math.exp(self._draw_low + position * (self._draw_high - self._draw_low))
        elif self._step:
            value = domain.low + self._step * min(int(position * self._count), self._count - 1)
        else:
            value = domain.low + position * (domain.high - domain.low)
        value = min(max(value, domain.low), domain.high)
        return round(value) if domain.kind == "int" else float(value)

    def position(self, value: Value) -> float:
        """The position of a value, on its scale."""
        if self.is_choice:
            rank = self._rank.get(_key(value))
            return INACTIVE if rank is None else rank / (len(self._values) - 1)
        if not isinstance(value, int | float):
            return INACTIVE
        scaled = math.log(max(float(value), 1e-300)) if self._domain.log else float(value)
        return min(max((scaled - self._low) / (self._high - self._low), -FURTHEST), 1 + FURTHEST)

    def one_hot(self, value: Value) -> list[float]:
        """A coordinate for each value of a choice; two different values are at distance 1."""
        found = [0.0] * self.width
        rank = self._rank.get(_key(value))
        if rank is not None:
            found[rank] = math.sqrt(0.5)
        return found


def _key(value: Value) -> tuple[bool, Value]:
    """True and 1 are different values."""
    return isinstance(value, bool), value
