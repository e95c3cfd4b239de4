"""Freeze-thaw search: at every level of a learning curve the curve model says which trial trains next.

The candidates are the paused trials and new points: random ones, points near the best, and points found by climbing
from the best of those. Each is scored by the logarithm of the probability that it improves on the best value by a
random amount within a random number of levels: Rakotoarison et al. 2024 (ifBO, arXiv 2404.16795) call this MFPI-random.
The random horizon makes the search look both for trials that are good soon and for those that are good in the end;
the user has no trade-off to choose. Trials that train count as if they had reached their next level as expected, so
parallel proposals differ. Some new points are random, whatever the model says.

The curve model is fitted in each call, so that an answer is a function of the seed and the curves alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from hearai.config.config import Config
from hearai.config.field_types import FrozenDict
from hearai.config.search_space.domains import Value
from hearai.config.search_space.space import Space
from hearai.search.early_stopping.expected_gain import degrees_of_freedom, seed_spread
from hearai.search.sampling.freeze_thaw.candidates import Candidates
from hearai.search.sampling.freeze_thaw.curve_model import CurveModel, Posterior, Rows
from hearai.search.sampling.freeze_thaw.curves import Curve
from hearai.search.sampling.freeze_thaw.encoding import Encoding
from hearai.search.sampling.freeze_thaw.observations import Observations, PointBook, Timeline

# N rows (points of curves), C coordinates, M candidates, L levels

FRACTIONS = (0.06, 0.13, 0.28, 0.6, 1.0)
"""Shares of the epochs at which the engine decides."""
FIT_STEPS = 8
"""Steps of a fit; further ones change the hyperparameters by little."""
GOALS = (-3.0, -0.3)
"""Logarithms (base 10) between which the improvement is drawn; 0 is a standard deviation of the values.

It is one on the best report, although that is partly luck and predictions are without luck: on the best prediction, a
search explored less and ended worse (docs/benchmarks.md).
"""
EXPLORE = 0.25
"""Share of new points that are random."""
BEST = 5
"""Curves near which new points are looked for, next to all paused ones: near the best alone found less."""
MOST_RUNNING = 64
"""Running trials that count; of more, the latest."""
NO_SEEDS: Mapping[int, Sequence[float]] = FrozenDict()
GAIN_DRAWS = 256
"""Joint draws of final values for an expected gain."""


class FreezeThaw:
    """Decides who trains next. Knows only the curves given in each call, so any process can continue a search."""

    def __init__(
        self,
        space: Space,
        base: Config,
        epochs: int,
        *,
        seed: int,
        startup: int = 5,
        seed_values: Mapping[int, Sequence[float]] = NO_SEEDS,
    ):
        """Args:
        epochs: of a complete trial.
        startup: number of random points after the base config, before the model is used.
        seed_values: {config: its final values with several seeds}, such as those of finals.
        """
        self.levels = freeze_thaw_levels(epochs)
        """Epochs at which the engine decides; the last one is that of a complete trial."""
        self._encoding = Encoding(space, base)
        self._candidates, self._book = Candidates(self._encoding), PointBook(self._encoding)
        self._timeline = Timeline(self.levels, epochs, FRACTIONS[0])
        self._seed, self._startup = seed, startup
        self._spread, self._degrees = seed_spread(seed_values), degrees_of_freedom(seed_values)

    def next(self, curves: Sequence[Curve], *, allow_new: bool = True) -> int | dict[str, Value] | None:
        """Who trains next: the number of a paused curve, or the parameters of a new point.

        None: no curve is paused, and no new point is allowed or all were tried. The first curve must be the base
        config's, which the caller starts.
        """
        rng, own = self._rng(curves), _own(curves)
        tried = {self._book.key(curve) for _, curve in own}
        paused = [(place, curve) for place, curve in own if curve.state == "paused"]
        if not allow_new and not paused:
            return None
        if allow_new and len(own) <= self._startup and (point := self._candidates.random_point(rng, tried)):
            return point
        seen = Observations(curves, self._book, self._timeline, rng)
        if seen.is_empty:
            return paused[0][1].number if paused else self._candidates.random_point(rng, tried)
        promise = self._promise(curves, seen, rng)
        chosen, best = None, -math.inf
        if paused:
            score_M = promise.of(self._levels_ahead(paused, promise.ahead))
            chosen, best = paused[int(score_M.argmax())][1].number, float(score_M.max())
        if not allow_new:
            return chosen
        time = self._timeline.time(self.levels[promise.ahead - 1])
        new = self._candidates.climb(
            rng, self._best_positions(curves), tried, lambda x_MC: promise.of(_new_rows(x_MC, time))
        )
        score, point = next(new, (-math.inf, None))
        if point is None or (chosen is not None and best >= score):
            return chosen
        return (self._candidates.random_point(rng, tried) if rng.random() < EXPLORE else None) or point

    def expected_finals(self, curves: Sequence[Curve]) -> dict[int, tuple[float, float]]:
        """{number: (mean, standard deviation)} of what each curve is expected to have at its last epoch."""
        rng = self._rng(curves)
        seen = Observations(curves, self._book, self._timeline, rng)
        if seen.is_empty:
            return {curve.number: (_value(curve, 0.0), 1.0) for curve in curves}
        mean_N, deviation_N = self._posterior(seen, rng).predict(self._ends(list(enumerate(curves))))
        return {
            curve.number: (seen.value(float(mean)), seen.difference(float(deviation)))
            for curve, mean, deviation in zip(curves, mean_N, deviation_N, strict=True)
        }

    def expected_gain(self, curves: Sequence[Curve], trials: int) -> float:
        """By how much the best final value is expected to rise if the most promising trials train to their end.

        The best final value is that which the model expects of the curves so far.

        trials: how many, new or paused ones.
        """
        rng, own = self._rng(curves), _own(curves)
        seen = Observations(curves, self._book, self._timeline, rng)
        known = [(place, curve) for place, curve in own if curve.values and not curve.diverged]
        if seen.is_empty or trials < 1 or not known:
            return 0.0
        posterior = self._posterior(seen, rng)
        best = float(posterior.predict(self._ends(known))[0].max())
        tried = {self._book.key(curve) for _, curve in own}
        position_MP = self._candidates.positions(rng, self._best_positions(curves), tried)
        rows = self._ends([(place, curve) for place, curve in own if curve.state == "paused"])
        rows = rows.joined(_new_rows(self._encoding.vectors_at(position_MP), 0.0))
        mean_M, deviation_M = posterior.predict(rows)
        chosen = np.argsort(-(mean_M + deviation_M), kind="stable")[:trials]
        if not len(chosen):
            return 0.0
        root = np.linalg.cholesky(posterior.covariance(rows.at(chosen)) + 1e-6 * np.eye(len(chosen)))
        draws = mean_M[chosen] + rng.standard_normal((GAIN_DRAWS, len(chosen))) @ root.T
        return seen.difference(float(np.maximum(draws.max(1) - best, 0).mean()))

    def _rng(self, curves: Sequence[Curve]) -> np.random.Generator:
        """Depends on what is known, not on how many questions this process has answered."""
        return np.random.default_rng([self._seed, len(curves), sum(len(curve.values) for curve in curves)])

    def _posterior(self, seen: Observations, rng: np.random.Generator) -> Posterior:
        model = CurveModel(self._encoding.parameter_of_C, self._encoding.parameters)
        if self._spread:
            model.observe_seeds(seen.standardised_difference(self._spread), self._degrees)
        model.fit(*seen.sample(rng), FIT_STEPS)
        return model.posterior(seen.rows, seen.y_N)

    def _promise(self, curves: Sequence[Curve], seen: Observations, rng: np.random.Generator) -> "_Promise":
        """What trials promise if the running ones reach their next levels as expected."""
        running = [(place, curve) for place, curve in _own(curves) if curve.state == "running"][-MOST_RUNNING:]
        posterior = self._posterior(seen, rng).believing(self._levels_ahead(running, 1))
        goal = float(seen.y_N.max()) + 10 ** rng.uniform(*GOALS)  # the best report, luck included: see `GOALS`
        return _Promise(posterior, goal, int(rng.integers(1, len(self.levels) + 1)))

    def _levels_ahead(self, placed: Sequence[tuple[int, Curve]], ahead: int) -> Rows:
        return self._book.rows(
            [(place, c, self._timeline.time(self._timeline.level_after(c, ahead))) for place, c in placed]
        )

    def _ends(self, placed: Sequence[tuple[int, Curve]]) -> Rows:
        return self._book.rows([(place, curve, 0.0) for place, curve in placed])

    def _best_positions(self, curves: Sequence[Curve]) -> list[np.ndarray]:
        sound = [curve for curve in curves if curve.values and not curve.diverged]
        ordered = sorted(sound, key=lambda curve: -_value(curve, -math.inf))
        paused = [curve for curve in ordered if curve.state == "paused" and not curve.is_prior]
        return [self._book.position(curve) for curve in (*paused, *ordered[:BEST])]


def freeze_thaw_levels(epochs: int) -> tuple[int, ...]:
    """The epochs at which the engine decides; the last one is that of a complete trial."""
    return tuple(sorted({max(1, round(share * epochs)) for share in FRACTIONS}))


@dataclass(frozen=True)
class _Promise:
    """Scores trials by the log probability of an improvement."""

    posterior: Posterior
    goal: float
    """The standardised value to reach."""
    ahead: int
    """Within how many levels."""

    def of(self, rows: Rows) -> np.ndarray:
        """`[M]`."""
        mean_M, deviation_M = self.posterior.predict(rows)
        return log_ndtr((mean_M - self.goal) / deviation_M)


def _own(curves: Sequence[Curve]) -> list[tuple[int, Curve]]:
    """(place, curve) of this search's trials."""
    return [(place, curve) for place, curve in enumerate(curves) if not curve.is_prior]


def _value(curve: Curve, without: float) -> float:
    """The best finite value of a curve."""
    return max(filter(math.isfinite, curve.values.values()), default=without)


def _new_rows(x_MC: np.ndarray, time: float) -> Rows:
    """Rows of points that are no curves yet."""
    return Rows(x_MC, np.full(len(x_MC), time), -1 - np.arange(len(x_MC)))
