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
        self._domains = {name: domain for name, domain in space.domains.items() if len(set(domain.corners())) > 1}
        widths = [_width(domain) for domain in self._domains.values()]
        self.parameters = len(self._domains)
        self.parameter_of_C = np.repeat(np.arange(self.parameters), widths)
        """Number of the parameter of each coordinate."""
        self._index = {name: number for number, name in enumerate(self._domains)}

    def point(self, position_P: np.ndarray) -> dict[str, Value]:
        """The parameters at a position; conditions hold, rules may not."""

        def choose(name: str, domain: Domain) -> Value:
            number = self._index.get(name)
            return domain.corners()[0] if number is None else _value(domain, float(position_P[number]))

        return self._space.walk(choose, self._base)

    def is_allowed(self, params: Mapping[str, Value]) -> bool:
        """Whether a point satisfies the rules of the space."""
        return self._space.violation(params, self._base) is None

    def position(self, params: Mapping[str, Value]) -> np.ndarray:
        """The position of a point, `[P]`; values outside of the space are at most `FURTHEST` beyond its ends."""
        return np.array([self._position(name, domain, params) for name, domain in self._domains.items()])

    def vector(self, params: Mapping[str, Value]) -> np.ndarray:
        """The coordinates of a point, `[C]`."""
        found: list[float] = []
        for name, domain in self._domains.items():
            width = _width(domain)
            if width == 1:
                found.append(self._position(name, domain, params))
            else:  # two different values are at distance 1
                value = self._value_or_base(name, params)
                found += [math.sqrt(0.5) * (_same(value, other) and name in params) for other in domain.values]
        return np.array(found)

    def vectors(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """The coordinates of points, `[N, C]`."""
        return np.array([self.vector(params) for params in points]).reshape(len(points), len(self.parameter_of_C))

    def _value_or_base(self, name: str, params: Mapping[str, Value]) -> Value:
        return params[name] if name in params else self._space.base_value(name, self._base)

    def _position(self, name: str, domain: Domain, params: Mapping[str, Value]) -> float:
        if name not in params:
            if domain.when:
                return INACTIVE
            base = self._space.base_value(name, self._base)  # of the base config, where its value is not in the space
            return _position(domain, base) if isinstance(base, int | float) and domain.kind != "choice" else INACTIVE
        return _position(domain, params[name])


def _is_ordered(domain: Domain) -> bool:
    """Whether it is a number, or a choice between numbers."""
    is_number = [isinstance(value, int | float) and not isinstance(value, bool) for value in domain.values]
    return domain.kind != "choice" or all(is_number)


def _width(domain: Domain) -> int:
    return 1 if _is_ordered(domain) or len(domain.values) == 2 else len(domain.values)


def _same(value: Value, other: Value) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _rank(domain: Domain) -> list[Value]:
    """The values of a choice in the order of their positions."""
    return sorted(domain.values, key=float) if _is_ordered(domain) else list(domain.values)  # type: ignore[arg-type]


def _value(domain: Domain, position: float) -> Value:
    """The value at a position in [0, 1]; each of several discrete values has an equal share."""
    if domain.kind == "choice":
        values = _rank(domain)
        return values[min(int(position * len(values)), len(values) - 1)]
    if domain.log:
        widen = 0.5 if domain.kind == "int" else 0.0
        low, high = math.log(max(domain.low - widen, 1e-12)), math.log(domain.high + widen)
        value = math.exp(low + position * (high - low))
    elif domain.kind == "int" or domain.step:
        step = domain.step or 1
        count = math.floor((domain.high - domain.low) / step + 1e-9) + 1
        value = domain.low + step * min(int(position * count), count - 1)
    else:
        value = domain.low + position * (domain.high - domain.low)
    value = min(max(value, domain.low), domain.high)
    return round(value) if domain.kind == "int" else float(value)


def _position(domain: Domain, value: Value) -> float:
    """The position of a value, on its scale."""
    if domain.kind == "choice":
        values = _rank(domain)
        number = next((n for n, other in enumerate(values) if _same(value, other)), None)
        return INACTIVE if number is None else number / (len(values) - 1)
    if not isinstance(value, int | float):
        return INACTIVE
    if domain.log:
        low, high = math.log(domain.low), math.log(domain.high)
        position = (math.log(max(float(value), 1e-300)) - low) / (high - low)
    else:
        position = (float(value) - domain.low) / (domain.high - domain.low)
    return min(max(position, -FURTHEST), 1 + FURTHEST)
