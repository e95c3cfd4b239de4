"""New points that a freeze-thaw search may try: random ones, and ones near others."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hearai.config.domains import Value
from hearai.search.sampling.freeze_thaw.encoding import Encoding

# P parameters, M points

Point = dict[str, Value]

RANDOM, NEAR = 120, 60
"""How many candidates of each kind are examined."""
NEAR_STEP, NEAR_SHARE = 0.12, 0.6
"""Of a near point: standard deviation of its step, as a share of the range, and share of the parameters it changes."""
CLIMB_STEPS, CLIMB_SHARE, PARENTS, CHILDREN = (0.1, 0.04), 0.7, 4, 15
"""Climbing: steps of the rounds in turn, share of changed parameters, points to climb from, points around each."""
SWEEP = 2000
"""Random points that are drawn before a space counts as exhausted."""


class Candidates:
    """Points that were not tried and that the rules of the space allow."""

    def __init__(self, encoding: Encoding, rng: np.random.Generator, tried: Sequence[Mapping[str, Value]]):
        self._encoding, self._rng = encoding, rng
        self._tried = {_key(params) for params in tried}

    def random(self, count: int) -> list[Point]:
        """At most so many random points."""
        return self._new(self._rng.random((count, self._encoding.parameters)))

    def random_point(self) -> Point | None:
        """A random point; None: none was found."""
        for count in (1, 20, SWEEP):
            if points := self.random(count):
                return points[0]
        return None

    def near(self, points: Sequence[Mapping[str, Value]], count: int) -> list[Point]:
        """At most so many points near some of these."""
        if not points:
            return []
        positions = np.array([self._encoding.position(params) for params in points])
        parents = positions[self._rng.integers(len(points), size=count)]
        return self._new(self._moved(parents, NEAR_STEP, NEAR_SHARE))

    def climb(
        self, best: Sequence[Mapping[str, Value]], score: Callable[[Sequence[Point], int], np.ndarray], rounds: int
    ) -> tuple[list[Point], np.ndarray]:
        """Random points, points near the best, and in each round points around those with the highest scores.

        score: of points; the second argument is how many were scored before.

        Returns:
            The points and their scores.
        """
        points = self.random(RANDOM) + self.near(best, NEAR)
        if not points:
            point = self.random_point()
            points = [] if point is None else [point]
        score_M = score(points, 0) if points else np.zeros(0)
        for number in range(rounds if points else 0):
            parents = [points[i] for i in np.argsort(-score_M, kind="stable")[:PARENTS]]
            positions = np.repeat([self._encoding.position(params) for params in parents], CHILDREN, axis=0)
            more = self._new(self._moved(positions, CLIMB_STEPS[number % len(CLIMB_STEPS)], CLIMB_SHARE))
            if more:
                score_M = np.concatenate([score_M, score(more, len(points))])
                points = points + more
        return points, score_M

    def _moved(self, position_MP: np.ndarray, step: float, share: float) -> np.ndarray:
        moves_MP = self._rng.normal(0, step, position_MP.shape)
        return np.clip(position_MP + moves_MP * (self._rng.random(position_MP.shape) < share), 0, 1)

    def _new(self, position_MP: np.ndarray) -> list[Point]:
        points = [self._encoding.point(position_P) for position_P in position_MP]
        return [point for point in points if _key(point) not in self._tried and self._encoding.is_allowed(point)]


def _key(params: Mapping[str, Value]) -> str:
    """Equal for equal points; 2 x 0.1 and 0.2 may differ in their last digit."""
    return repr(sorted((name, f"{v:.12g}" if isinstance(v, float) else v) for name, v in params.items()))
