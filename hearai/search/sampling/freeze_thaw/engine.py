"""Freeze-thaw search: at every level of a learning curve the curve model says who trains on.

The candidates are the paused trials and new points: random ones, points near the best, and points found by climbing
from the best of those. Each is scored by the logarithm of the probability that it improves on the best value by a
random amount within a random number of levels: Rakotoarison et al. 2024 (ifBO, arXiv 2404.16795) call this MFPI-random.
The random horizon makes the search look both for trials that are good soon and for those that are good in the end;
no one has to choose a trade-off. Trials that train count as if they had reached their next level as expected, so
parallel proposals differ. Some new points are random, whatever the model says.

Values are clipped below at a quantile and standardised, so that poor configs do not bend the scale on which good ones
differ; a diverged trial counts as being at that quantile.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import log_ndtr

from hearai.config.config import Config
from hearai.config.domains import Value
from hearai.config.space import Space
from hearai.search.sampling.freeze_thaw.candidates import Candidates
from hearai.search.sampling.freeze_thaw.curve_model import NOISE, CurveModel, Posterior, Rows
from hearai.search.sampling.freeze_thaw.curves import Curve
from hearai.search.sampling.freeze_thaw.encoding import Encoding

# N rows (points of curves), M candidates, L levels

FRACTIONS = (0.06, 0.13, 0.28, 0.6, 1.0)
"""Shares of the epochs at which the engine decides."""
POINTS_PER_CURVE = 2
"""How many of a curve's last levels the model sees."""
MOST_ROWS, BEST_ROWS, FIT_ROWS = 130, 90, 90
"""Rows that the model sees, the best of them and some of the others; rows that it is fitted to."""
FIT_STEPS, GROWTH = 40, 1.25
"""Steps of a fit; a new one is made once there are so many times more rows than at the last."""
LOW_QUANTILE = 0.2
"""Values below this quantile count as equal to it."""
EXPLORE = 0.25
"""Share of new points that are random."""
REFINEMENTS = 3
"""How often the search climbs from the best candidates."""
GAIN_DRAWS = 256


class FreezeThaw:
    """Decides who trains next. Knows only the curves given in each call, so any process can continue a search."""

    def __init__(
        self, space: Space, base: Config, epochs: int, *, seed: int, startup: int = 5, noise: float | None = None
    ):
        """Args:
        epochs: of a complete trial.
        startup: number of random points after the base config, before the model is used.
        noise: expected standard deviation of a value between seeds, as a share of that between trials.
        """
        self.levels = freeze_thaw_levels(epochs)
        """Epochs at which the engine decides; the last one is that of a complete trial."""
        self._encoding, self._epochs, self._seed, self._startup = Encoding(space, base), epochs, seed, startup
        self._noise = NOISE if noise is None else noise
        self._model: CurveModel | None = None
        self._fitted_rows = 0

    def next(self, curves: Sequence[Curve], *, allow_new: bool = True) -> int | dict[str, Value] | None:
        """Who trains next: the number of a paused curve, or the parameters of a new point.

        None: no curve is paused, and no new point is allowed or all were tried. The first curve must be the base
        config's, which the caller starts.
        """
        rng, own = self._rng(curves), [curve for curve in curves if not curve.is_prior]
        paused = [curve for curve in own if curve.state == "paused"]
        candidates = Candidates(self._encoding, rng, [curve.params for curve in own])
        if not allow_new and not paused:
            return None
        if allow_new and len(own) <= self._startup and (point := candidates.random_point()):
            return point
        data = _Data(self._levels_of(curves), self._encoding, rng)
        if data.is_empty:
            return paused[0].number if paused else candidates.random_point()
        posterior = self._posterior(data, rng)
        posterior = posterior.believing(self._rows_of_running(own))
        return self._best(posterior, data, paused, candidates if allow_new else None, rng)

    def expected_finals(self, curves: Sequence[Curve]) -> dict[int, tuple[float, float]]:
        """{number: (mean, standard deviation)} of what each curve is expected to have at its last epoch."""
        rng = self._rng(curves)
        data = _Data(self._levels_of(curves), self._encoding, rng)
        if data.is_empty:
            return {curve.number: (max(curve.values.values(), default=0.0), 1.0) for curve in curves}
        rows = self._rows([(curve, self._epochs) for curve in curves])
        mean_N, deviation_N = self._fitted(data, rng).posterior(data.rows, data.y_N).predict(rows)
        return {
            curve.number: (data.shift + data.scale * float(mean), data.scale * float(deviation))
            for curve, mean, deviation in zip(curves, mean_N, deviation_N, strict=True)
        }

    def expected_gain(self, curves: Sequence[Curve], trials: int) -> float:
        """By how much the best final value is expected to rise if the most promising trials train to their end.

        trials: how many, new or paused ones.
        """
        rng, own = self._rng(curves), [curve for curve in curves if not curve.is_prior]
        data = _Data(self._levels_of(curves), self._encoding, rng)
        if data.is_empty or not trials:
            return 0.0
        posterior = self._fitted(data, rng).posterior(data.rows, data.y_N)
        known = [curve for curve in own if curve.values] or [curve for curve in curves if curve.values]
        best = float(posterior.predict(self._rows([(curve, self._epochs) for curve in known]))[0].max())
        candidates = Candidates(self._encoding, rng, [curve.params for curve in own])
        new = candidates.random(trials * 20) + candidates.near(_best_points(own), trials * 10)
        rows = self._new_rows(new, np.zeros(len(new)))
        rows = rows.joined(self._rows([(curve, self._epochs) for curve in own if curve.state == "paused"]))
        mean_M, deviation_M = posterior.predict(rows)
        chosen = np.argsort(-(mean_M + deviation_M))[:trials]
        rows = Rows(rows.x_NC[chosen], rows.t_N[chosen], rows.curve_N[chosen])
        root = np.linalg.cholesky(posterior.covariance(rows) + 1e-6 * np.eye(len(rows)))
        draws = mean_M[chosen] + rng.standard_normal((GAIN_DRAWS, len(rows))) @ root.T
        return data.scale * float(np.maximum(draws.max(1) - best, 0).mean())

    def _rng(self, curves: Sequence[Curve]) -> np.random.Generator:
        """Depends on what is known, not on how many questions this process has answered."""
        return np.random.default_rng([self._seed, len(curves), sum(len(curve.values) for curve in curves)])

    def _time(self, epoch: float) -> float:
        """0 at the last epoch, -1 at the first level."""
        return math.log(epoch / self._epochs) / -math.log(FRACTIONS[0])

    def _levels_of(self, curves: Sequence[Curve]) -> list[tuple[Curve, float, float | None]]:
        """(curve, time, value; None = diverged) of the last points of each curve."""
        points: list[tuple[Curve, float, float | None]] = []
        for curve in curves:
            epochs = [epoch for epoch in curve.values if epoch <= self._epochs]
            seen = [epoch for epoch in epochs if epoch in self.levels or epoch == max(epochs)]
            if curve.diverged:
                points.append((curve, self._time(self._level_after(curve)), None))
            else:
                points += [(curve, self._time(e), curve.values[e]) for e in sorted(seen)[-POINTS_PER_CURVE:]]
        return points

    def _level_after(self, curve: Curve, ahead: int = 1) -> int:
        """The epoch of a level after the curve's last one."""
        passed = sum(level <= curve.last_epoch for level in self.levels)
        return self.levels[min(passed + ahead, len(self.levels)) - 1]

    def _rows(self, points: Sequence[tuple[Curve, int]]) -> Rows:
        """points: (curve, epoch)."""
        return Rows(
            self._encoding.vectors([curve.params for curve, _ in points]),
            np.array([self._time(epoch) for _, epoch in points]),
            np.array([curve.number for curve, _ in points], dtype=int),
        )

    def _new_rows(self, points: Sequence[Mapping[str, Value]], t_M: np.ndarray, first: int = 0) -> Rows:
        """Rows of points that are no curves yet; `first` of them have rows already."""
        return Rows(self._encoding.vectors(points), t_M, -1 - first - np.arange(len(points)))

    def _rows_of_running(self, own: Sequence[Curve]) -> Rows:
        return self._rows([(curve, self._level_after(curve)) for curve in own if curve.state == "running"])

    def _fitted(self, data: "_Data", rng: np.random.Generator) -> CurveModel:
        model = CurveModel(self._encoding.parameter_of_C, self._encoding.parameters, noise=self._noise)
        model.fit(*data.sample(FIT_ROWS, rng), FIT_STEPS)
        return model

    def _posterior(self, data: "_Data", rng: np.random.Generator) -> Posterior:
        if self._model is None or data.count >= GROWTH * self._fitted_rows + 3:
            self._model, self._fitted_rows = self._fitted(data, rng), data.count
        return self._model.posterior(data.rows, data.y_N)

    def _best(
        self,
        posterior: Posterior,
        data: "_Data",
        paused: Sequence[Curve],
        candidates: Candidates | None,
        rng: np.random.Generator,
    ) -> int | dict[str, Value] | None:
        """The candidate with the best score."""
        ahead, goal = int(rng.integers(1, len(self.levels) + 1)), float(data.y_N.max()) + 10 ** rng.uniform(-3, -0.3)

        def scores(rows: Rows) -> np.ndarray:
            mean_M, deviation_M = posterior.predict(rows)
            return log_ndtr((mean_M - goal) / deviation_M)

        old_M = (
            scores(self._rows([(curve, self._level_after(curve, ahead)) for curve in paused]))
            if paused
            else np.zeros(0)
        )
        best_old = int(np.argmax(old_M)) if paused else None
        if candidates is None:
            return None if best_old is None else paused[best_old].number
        end = self._time(self.levels[ahead - 1])
        known = [curve.params for curve in _by_value(paused)] + _best_points(data.curves)
        points, new_M = candidates.climb(
            known, lambda new, first: scores(self._new_rows(new, np.full(len(new), end), first)), REFINEMENTS
        )
        best_new = int(np.argmax(new_M)) if len(points) else None
        if best_old is not None and (best_new is None or old_M[best_old] >= new_M[best_new]):
            return paused[best_old].number
        explored = candidates.random_point() if rng.random() < EXPLORE else None
        return explored or (points[best_new] if best_new is not None else candidates.random_point())


def freeze_thaw_levels(epochs: int) -> tuple[int, ...]:
    """The epochs at which the engine decides; the last one is that of a complete trial."""
    return tuple(sorted({max(1, round(share * epochs)) for share in FRACTIONS}))


def _by_value(curves: Sequence[Curve]) -> list[Curve]:
    return sorted(curves, key=lambda curve: -max(curve.values.values(), default=-math.inf))


def _best_points(curves: Sequence[Curve], count: int = 5) -> list[Mapping[str, Value]]:
    return [curve.params for curve in _by_value([curve for curve in curves if not curve.diverged])[:count]]


class _Data:
    """The rows that the model sees, with standardised values."""

    def __init__(
        self,
        points: Sequence[tuple[Curve, float, float | None]],
        encoding: Encoding,
        rng: np.random.Generator,
    ):
        """points: (curve, time, value; None = diverged)."""
        known = [value for _, _, value in points if value is not None and math.isfinite(value)]
        self.is_empty, self.count = len(known) < 4, len(points)
        if self.is_empty:
            return
        low = float(np.quantile(known, LOW_QUANTILE))
        value_N = np.array(
            [low if value is None or not math.isfinite(value) else max(value, low) for *_, value in points]
        )
        kept = self._kept(value_N, rng)
        self.curves = list({curve.number: curve for curve, *_ in points}.values())
        self.shift, self.scale = float(value_N[kept].mean()), float(value_N[kept].std()) or 1.0
        self.y_N = (value_N[kept] - self.shift) / self.scale
        self.rows = Rows(
            encoding.vectors([points[row][0].params for row in kept]),
            np.array([points[row][1] for row in kept]),
            np.array([points[row][0].number for row in kept]),
        )

    def sample(self, most: int, rng: np.random.Generator) -> tuple[Rows, np.ndarray]:
        """At most so many of the rows, and their values."""
        rows = self.rows
        if len(rows) <= most:
            return rows, self.y_N
        chosen = np.sort(rng.choice(len(rows), most, replace=False))
        return Rows(rows.x_NC[chosen], rows.t_N[chosen], rows.curve_N[chosen]), self.y_N[chosen]

    @staticmethod
    def _kept(value_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Numbers of the rows that the model sees: all, or the best and some of the others."""
        if len(value_N) <= MOST_ROWS:
            return np.arange(len(value_N))
        order = np.argsort(-value_N, kind="stable")
        others = rng.choice(order[BEST_ROWS:], MOST_ROWS - BEST_ROWS, replace=False)
        return np.sort(np.concatenate([order[:BEST_ROWS], others]))
