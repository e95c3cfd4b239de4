"""Points of a search space as vectors.

Each parameter with more than one value is an `Axis`. A conditional parameter has one coordinate more, which says
whether it is active; its other coordinates are the same in all points without it, so that it does not count there.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hearai.config.config import Config
from hearai.config.search_space.domains import Domain, Value, tied_by
from hearai.config.search_space.space import Space
from hearai.search.sampling.freeze_thaw.axes import UNKNOWN, Axis, axis_of

# P parameters, C coordinates, M points, W coordinates of a parameter

SEPARATION = 0.5
"""Distance between points that have a conditional parameter and points that do not, on top of that of its condition."""

Point = dict[str, Value]
Key = frozenset[tuple[str, object]]


@dataclass(frozen=True)
class _Condition:
    """One condition of a domain: it holds for some values of the parameter that controls it."""

    domain: Domain
    """Has this condition alone."""
    controller: str | None
    """None: the base config decides."""


class Encoding:
    """The parameters of a space that have more than one value."""

    def __init__(self, space: Space, base: Config):
        self._space, self._base = space, base
        axes = {name: axis_of(domain) for name, domain in space.domains.items()}
        self._axes: dict[str, Axis] = {name: axis for name, axis in axes.items() if axis.count != 1}
        self._single = {name: axis.value(float(axis.codes(np.zeros(1))[0])) for name, axis in axes.items()}
        """Values of the parameters with one."""
        self.parameters = len(self._axes)
        self._column = {name: number for number, name in enumerate(self._axes)}
        self._is_conditional = {name: bool(space.domains[name].when) for name in self._axes}
        widths = [axis.width + self._is_conditional[name] for name, axis in self._axes.items()]
        self.parameter_of_C = np.repeat(np.arange(self.parameters), widths)
        """Number of the parameter of each coordinate."""
        self.is_ordered_P = np.array([axis.is_ordered for axis in self._axes.values()], dtype=bool)
        """Whether near positions of a parameter are similar values."""
        tied = tied_by(space.domains)
        self._conditions = {
            name: [
                _Condition(dataclasses.replace(domain, when={other: allowed}), self._controller(other, tied))
                for other, allowed in domain.when.items()
            ]
            for name, domain in space.domains.items()
        }

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """`[P]`."""
        return tuple(self._axes)

    @property
    def size(self) -> float:
        """Number of points if all conditions hold; inf if a parameter is continuous."""
        counts = [axis.count for axis in self._axes.values()]
        return math.inf if None in counts else float(math.prod(count or 1 for count in counts))

    @property
    def has_rules(self) -> bool:
        """Whether some points are not allowed."""
        return bool(self._space.constraints)

    def point(self, position_P: np.ndarray) -> Point:
        """The parameters at a position; conditions hold, rules may not."""

        def choose(name: str, domain: Domain) -> Value:
            if name not in self._axes:
                return self._single[name]
            axis = self._axes[name]
            return axis.value(float(axis.codes(position_P[self._column[name], None])[0]))

        return self._space.walk(choose, self._base)

    def all_points(self) -> Iterator[Point]:
        """Every point of a finite space once, allowed or not."""
        grids = [self._space.domains[name].grid() for name in self._axes]
        seen: set[Key] = set()
        for values in itertools.product(*grids):
            chosen = {**self._single, **dict(zip(self._axes, values, strict=True))}
            point = self._space.walk(lambda name, _, chosen=chosen: chosen[name], self._base)  # type: ignore[misc]
            if key_of(point) not in seen:
                seen.add(key_of(point))
                yield point

    def is_allowed(self, params: Mapping[str, Value]) -> bool:
        """Whether a point satisfies the rules of the space."""
        return self._space.violation(params, self._base) is None

    def position(self, params: Mapping[str, Value]) -> np.ndarray:
        """A position of a point, `[P]` in [0, 1]; values beyond the bounds are at the bounds."""
        return np.array(
            [
                UNKNOWN if self._is_inactive(name, params) else axis.position_of(self._known(name, params))
                for name, axis in self._axes.items()
            ]
        )

    def vector(self, params: Mapping[str, Value]) -> np.ndarray:
        """The coordinates of a point, `[C]`. An unconditional parameter that it lacks has the base config's value."""
        found: list[np.ndarray] = []
        for name, axis in self._axes.items():
            if self._is_inactive(name, params):
                found += [np.zeros(axis.width), np.array([SEPARATION])]
            else:
                found.append(axis.coordinates_of(self._known(name, params)))
                found += [np.zeros(1)] if self._is_conditional[name] else []
        return np.concatenate([*found, np.zeros(0)])

    def vectors_at(self, position_MP: np.ndarray) -> np.ndarray:
        """The coordinates of the points at positions, `[M, C]`: as `vector(point(position))`, but of all at once."""
        codes = {name: axis.codes(position_MP[:, n]) for n, (name, axis) in enumerate(self._axes.items())}
        active = self._activity(codes, len(position_MP))
        found = [np.zeros((len(position_MP), 0))]
        for name, axis in self._axes.items():
            coordinate_MW = axis.coordinates(codes[name])
            if self._is_conditional[name]:
                active_M1 = active[name][:, None]
                found += [coordinate_MW * active_M1, SEPARATION * ~active_M1]
            else:
                found.append(coordinate_MW)
        return np.concatenate(found, 1)

    def _activity(self, codes: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
        """{name: whether it is active, `[M]`}; the space has every condition before what depends on it."""
        active: dict[str, np.ndarray] = {}
        for name, conditions in self._conditions.items():
            active[name] = np.ones(count, dtype=bool)
            for condition in conditions:
                active[name] &= self._holds(condition, codes, active)
        return active

    def _holds(
        self, condition: _Condition, codes: Mapping[str, np.ndarray], active: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Whether a condition holds, `[M]` or `[1]`. The space itself decides, once for each value that occurs."""
        domain, name = condition.domain, condition.controller
        without = np.array([self._space.is_active(domain, {}, self._base)])
        if name is None:
            return without
        if name not in codes:
            return np.where(
                active[name], self._space.is_active(domain, {name: self._single[name]}, self._base), without
            )
        code_U, unique_M = np.unique(codes[name], return_inverse=True)
        values = [self._axes[name].value(float(code)) for code in code_U]
        holds_U = np.array([self._space.is_active(domain, {name: value}, self._base) for value in values])
        return np.where(active[name], holds_U[unique_M], without)

    def _controller(self, other: str, tied: Mapping[str, str]) -> str | None:
        return other if other in self._space.domains else tied.get(other)

    def _is_inactive(self, name: str, params: Mapping[str, Value]) -> bool:
        return name not in params and self._is_conditional[name]

    def _known(self, name: str, params: Mapping[str, Value]) -> Value:
        """The value of a parameter, or the base config's: a prior search may not have varied it."""
        return params[name] if name in params else self._base_value(name)

    def _base_value(self, name: str) -> Value:
        return self._space.base_value(name, self._base)  # type: ignore[no-any-return]


def key_of(params: Mapping[str, Value]) -> Key:
    """Equal for equal points; 2 x 0.1 and 0.2 may differ in their last digit."""
    return frozenset((name, _plain(value)) for name, value in params.items())


def _plain(value: Value) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.12g}" if is_number else (type(value).__name__, value)
