"""Learning curves of a table as a task of the simulation, with the noise of a seed where the table has none."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from hearai.benchmarks.tables.table_study import TableStudy
from hearai.config.search_space.domains import Value

OFFSET_SHARE = 0.5
"""Share of the variance that a seed adds to a whole curve; the rest changes along it."""
CORRELATION = 0.8
"""Of that rest between one epoch and the next."""


class Table(Protocol):
    """Noise-free learning curves for any point of a space."""

    study: TableStudy
    epochs: int
    lowest: float
    """The value of a config that has learnt nothing."""

    def curves(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """The objective after each epoch, (points, epochs); NaN from where a config has diverged."""

    def last_values(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """The objective after the last epoch, (points,)."""

    def epoch_seconds(self, params: Mapping[str, Value]) -> float:
        """Seconds of an epoch."""


class NoisyCurves:
    """A table as a `simulation.Task`. Curves are computed once per point."""

    def __init__(self, table: Table, noise: float = 0.0):
        """noise: standard deviation of a value between seeds, in units of the objective."""
        self._table, self._noise = table, noise
        self._clean: dict[tuple[Value, ...], np.ndarray] = {}

    @property
    def epochs(self) -> int:
        return self._table.epochs

    def curve(self, params: Mapping[str, Value], seed: int) -> list[float]:
        """The objective after each epoch, with the noise of the seed: an offset, and an AR(1) process along it."""
        clean = self._curve(params)
        if not self._noise:
            return clean.tolist()
        rng = np.random.default_rng(_hash(params, seed))
        along, step = np.empty(self.epochs), rng.standard_normal(self.epochs)
        along[0] = step[0]
        for epoch in range(1, self.epochs):
            along[epoch] = CORRELATION * along[epoch - 1] + math.sqrt(1 - CORRELATION**2) * step[epoch]
        offset = math.sqrt(OFFSET_SHARE) * rng.standard_normal()
        return (clean + self._noise * (offset + math.sqrt(1 - OFFSET_SHARE) * along)).tolist()

    def true_value(self, params: Mapping[str, Value]) -> float:
        """The best epoch of a complete run, without noise."""
        return best_epochs(self._curve(params)[None], self._table.lowest)[0]

    def epoch_seconds(self, params: Mapping[str, Value]) -> float:
        return self._table.epoch_seconds(params)

    def _curve(self, params: Mapping[str, Value]) -> np.ndarray:
        key = tuple(params[path] for path in self._table.study.space.domains)
        if key not in self._clean:
            self._clean[key] = self._table.curves([params])[0]
        return self._clean[key]


def best_epochs(curves: np.ndarray, lowest: float) -> list[float]:
    """The best value of each curve before it diverged; `lowest` if it diverged at once."""
    return np.nan_to_num(curves, nan=lowest).max(1).tolist()


def _hash(params: Mapping[str, Value], seed: int) -> int:
    text = repr((sorted(params.items()), seed)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
