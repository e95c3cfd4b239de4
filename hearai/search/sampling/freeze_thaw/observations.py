"""What the curve model is fitted to: the last points of each curve, on a scale that poor configs do not bend.

Values are clipped below at a quantile and standardised; a diverged trial counts as being at that quantile. The model
sees a bounded number of rows: the best, and a random sample of the others.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hearai.search.sampling.freeze_thaw.curve_model import Rows
from hearai.search.sampling.freeze_thaw.curves import Curve
from hearai.search.sampling.freeze_thaw.encoding import Encoding, Key, key_of

# N rows (points of curves), C coordinates, P parameters

POINTS_PER_CURVE = 2
"""How many of a curve's last levels the model sees."""
MOST_ROWS, BEST_ROWS, FIT_ROWS = 130, 90, 90
"""Rows that the model sees, the best of them and some of the others; rows that it is fitted to."""
LOW_QUANTILE = 0.2
"""Values below this quantile count as equal to it."""
FEWEST = 4
"""Finite values without which there is nothing to fit."""


class Timeline:
    """The epochs of a complete trial as times: 0 at the last epoch, -1 at the first level."""

    def __init__(self, levels: Sequence[int], epochs: int, first_share: float):
        self.levels, self.epochs, self._first_share = tuple(levels), epochs, first_share

    def time(self, epoch: float) -> float:
        """Of an epoch; logarithmic."""
        return math.log(epoch / self.epochs) / -math.log(self._first_share)

    def level_after(self, curve: Curve, ahead: int = 1) -> int:
        """The epoch of a level after the last one that a curve has passed."""
        passed = sum(level <= curve.last_epoch for level in self.levels)
        return self.levels[min(passed + ahead, len(self.levels)) - 1]

    def points(self, curve: Curve) -> list[tuple[float, float]]:
        """(time, value) of a curve's last levels, and of its last report; a diverged one has NaN at the next level."""
        if curve.diverged:
            return [(self.time(self.level_after(curve)), math.nan)]
        last = curve.last_epoch
        if last > self.epochs:  # of a prior search with longer trials
            last = max((epoch for epoch in curve.values if epoch <= self.epochs), default=0)
        seen = [level for level in self.levels if level < last and level in curve.values] + [last] * (last > 0)
        return [(self.time(epoch), curve.values[epoch]) for epoch in seen[-POINTS_PER_CURVE:]]


class PointBook:
    """Coordinates, positions and keys of curves' parameters, computed once for each curve."""

    def __init__(self, encoding: Encoding):
        self._encoding = encoding
        self._known: dict[tuple[int, bool], tuple[Mapping, np.ndarray, np.ndarray, Key]] = {}

    def vector(self, curve: Curve) -> np.ndarray:
        """`[C]`."""
        return self._of(curve)[1]

    def position(self, curve: Curve) -> np.ndarray:
        """`[P]`."""
        return self._of(curve)[2]

    def key(self, curve: Curve) -> Key:
        """Equal for equal parameters."""
        return self._of(curve)[3]

    def rows(self, curves: Sequence[tuple[int, Curve, float]]) -> Rows:
        """Rows of (place of the curve, curve, time)."""
        width = len(self._encoding.parameter_of_C)
        return Rows(
            np.array([self.vector(curve) for _, curve, _ in curves]).reshape(len(curves), width),
            np.array([time for *_, time in curves], dtype=float),
            np.array([place for place, *_ in curves], dtype=int),
        )

    def _of(self, curve: Curve) -> tuple[Mapping, np.ndarray, np.ndarray, Key]:
        place = (curve.number, curve.is_prior)
        known = self._known.get(place)
        if known is None or known[0] != curve.params:
            vector, position = self._encoding.vector(curve.params), self._encoding.position(curve.params)
            known = self._known[place] = (dict(curve.params), vector, position, key_of(curve.params))
        return known


class Observations:
    """Rows and standardised values. Curves are identified by their places in the sequence."""

    def __init__(self, curves: Sequence[Curve], book: PointBook, timeline: Timeline, rng: np.random.Generator):
        points = [(n, curve, *point) for n, curve in enumerate(curves) for point in timeline.points(curve)]
        value_N = np.array([value for *_, value in points], dtype=float)
        known = value_N[np.isfinite(value_N)]
        self.is_empty = len(known) < FEWEST
        if self.is_empty:
            return
        self._peak = float(np.abs(known).max()) or 1.0  # sums of huge values must not overflow
        low = float(np.quantile(known / self._peak, LOW_QUANTILE))
        value_N = np.maximum(np.where(np.isfinite(value_N), value_N / self._peak, low), low)
        kept = _kept(value_N, rng)
        self._shift, self._scale = float(value_N[kept].mean()), max(float(value_N[kept].std()), 1e-12)
        self.y_N = (value_N[kept] - self._shift) / self._scale
        self.rows = book.rows([points[row][:3] for row in kept])

    def sample(self, rng: np.random.Generator) -> tuple[Rows, np.ndarray]:
        """The rows that hyperparameters are fitted to, and their values."""
        if len(self.rows) <= FIT_ROWS:
            return self.rows, self.y_N
        chosen = np.sort(rng.choice(len(self.rows), FIT_ROWS, replace=False))
        return self.rows.at(chosen), self.y_N[chosen]

    def value(self, y: float) -> float:
        """A standardised value on the scale of the objective."""
        return (self._shift + self._scale * y) * self._peak

    def standardised_difference(self, difference: float) -> float:
        """The reverse of `difference`."""
        return difference / (self._scale * self._peak)

    def difference(self, y: float) -> float:
        """A difference of standardised values on the scale of the objective."""
        return self._scale * y * self._peak


def _kept(value_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Numbers of the rows that the model sees: all, or the best and some of the others."""
    if len(value_N) <= MOST_ROWS:
        return np.arange(len(value_N))
    order = np.argsort(-value_N, kind="stable")
    others = rng.choice(order[BEST_ROWS:], MOST_ROWS - BEST_ROWS, replace=False)
    return np.sort(np.concatenate([order[:BEST_ROWS], others]))
