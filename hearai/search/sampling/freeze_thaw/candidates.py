"""New points that a freeze-thaw search may try: random ones, points near the best, and points found by climbing.

A space with few points is looked at as a whole. Positions are scored without a look at their parameters; whether a
point was tried is checked for the best ones only.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hearai.search.sampling.freeze_thaw.encoding import Encoding, Key, Point, key_of

# P parameters, C coordinates, M points

RANDOM, NEAR = 120, 60
"""How many candidates of each kind are examined."""
NEAR_STEP, NEAR_SHARE = 0.12, 0.6
"""Of a near point: standard deviation of its step, as a share of the range, and share of the parameters it changes."""
ROUNDS = 3
CLIMB_STEPS, CLIMB_SHARE, PARENTS, CHILDREN = (0.1, 0.04), 0.7, 4, 15
"""Climbing: steps of the rounds in turn, share of changed parameters, points to climb from, points around each."""
JUMP = 2.0
"""An unordered choice takes a random value with this probability per step."""
SMALL = 1000
"""A space with at most so many points is examined as a whole."""
SWEEP = 2000
"""Random points of a larger space that are drawn before it counts as exhausted."""

Score = Callable[[np.ndarray], np.ndarray]
"""Of the coordinates of points, `[M, C]`: what they promise, `[M]`."""


class Candidates:
    """Points that were not tried and that the rules of the space allow."""

    def __init__(self, encoding: Encoding):
        self._encoding = encoding
        self._all: list[tuple[Key, Point, np.ndarray]] | None = None
        if encoding.size <= SMALL:
            allowed = [point for point in encoding.all_points() if encoding.is_allowed(point)]
            self._all = [(key_of(point), point, encoding.position(point)) for point in allowed]

    def random_point(self, rng: np.random.Generator, tried: set[Key]) -> Point | None:
        """A random point; None: none was found, and a space with at most `SMALL` points has none."""
        if self._all is not None:
            untried = [point for key, point, _ in self._all if key not in tried]
            return dict(untried[rng.integers(len(untried))]) if untried else None
        for count in (1, 20, SWEEP):
            for position_P in rng.random((count, self._encoding.parameters)):
                if point := self._untried(position_P, tried):
                    return point
        return None

    def positions(self, rng: np.random.Generator, best: Sequence[np.ndarray], tried: set[Key]) -> np.ndarray:
        """Positions of random points and of points near the best, `[M, P]`; of all untried ones of a small space."""
        if self._all is not None:
            found = [position_P for key, _, position_P in self._all if key not in tried]
            return np.array(found).reshape(len(found), self._encoding.parameters)
        position_MP = rng.random((RANDOM, self._encoding.parameters))
        if len(best):
            parents_MP = np.array(best)[rng.integers(len(best), size=NEAR)]
            position_MP = np.concatenate([position_MP, self._moved(rng, parents_MP, NEAR_STEP, NEAR_SHARE)])
        return self._allowed(position_MP)

    def climb(
        self, rng: np.random.Generator, best: Sequence[np.ndarray], tried: set[Key], score: Score
    ) -> Iterator[tuple[float, Point]]:
        """Untried points with their scores, the best first. Looks, in rounds, around those with the highest scores."""
        position_MP = self.positions(rng, best, tried)
        score_M = score(self._encoding.vectors_at(position_MP))
        for number in range(ROUNDS if self._all is None and len(position_MP) else 0):
            top = np.argsort(-score_M, kind="stable")[:PARENTS]
            parents_MP = np.repeat(position_MP[top], CHILDREN, axis=0)
            more_MP = self._allowed(self._moved(rng, parents_MP, CLIMB_STEPS[number % len(CLIMB_STEPS)], CLIMB_SHARE))
            score_M = np.concatenate([score_M, score(self._encoding.vectors_at(more_MP))])
            position_MP = np.concatenate([position_MP, more_MP])
        for place in np.argsort(-score_M, kind="stable"):
            if point := self._untried(position_MP[place], tried):
                yield float(score_M[place]), point

    def _untried(self, position_P: np.ndarray, tried: set[Key]) -> Point | None:
        point = self._encoding.point(position_P)
        return point if key_of(point) not in tried and self._encoding.is_allowed(point) else None

    def _allowed(self, position_MP: np.ndarray) -> np.ndarray:
        if not self._encoding.has_rules:
            return position_MP
        allowed = [self._encoding.is_allowed(self._encoding.point(position_P)) for position_P in position_MP]
        return position_MP[np.array(allowed, dtype=bool)]

    def _moved(self, rng: np.random.Generator, position_MP: np.ndarray, step: float, share: float) -> np.ndarray:
        """Positions nearby; unordered choices jump."""
        shape = position_MP.shape
        moves_MP = rng.normal(0, step, shape) * (rng.random(shape) < share)
        jumps_MP = ~self._encoding.is_ordered_P & (rng.random(shape) < JUMP * step)
        return np.where(
            jumps_MP, rng.random(shape), np.clip(position_MP + moves_MP * self._encoding.is_ordered_P, 0, 1)
        )
