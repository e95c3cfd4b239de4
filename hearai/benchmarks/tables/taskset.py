"""TaskSet: recurrent networks trained by Adam with eight settings, 1,000 recorded configs for each of six tasks.

Metz et al., "Using a thousand optimization tasks to learn hyperparameter search strategies", 2020 (Apache-2.0). A
config is answered with the mean of the recorded runs that are nearest to it in the unit cube.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hearai.benchmarks.tables.table_study import TableStudy, table_study
from hearai.config.search_space.domains import Domain, Value

NEAREST = 5
HIGHEST_LOSS = 2.0
"""Larger losses count as this one: how bad a useless config is says nothing about the good ones."""
EPOCH_SECONDS = 10.0
"""Recorded runs have no times; every config takes the same."""
BETAS = ("beta1", "beta2")
START: Mapping[str, Value] = {
    "learning_rate": 1e-3,
    "one_minus_beta1": 0.1,
    "one_minus_beta2": 1e-3,
    "epsilon": 1e-8,
    "l1": 1e-8,
    "l2": 1e-8,
    "linear_decay": 1e-7,
    "exponential_decay": 1e-6,
}
"""The base config: Adam's defaults, with regularisation and decay as good as off (the lower ends of their ranges)."""


def task_names(folder: Path) -> list[str]:
    """The names of the recorded tasks, sorted."""
    return sorted(path.stem for path in folder.glob("*.npz"))


class TaskSet:
    """One recorded task; values are minus the validation loss, in [-2, 0], NaN from where a config has diverged."""

    lowest = -HIGHEST_LOSS

    def __init__(self, folder: Path, name: str):
        with np.load(folder / f"{name}.npz") as table:
            columns = dict(zip(table["hp_names"].tolist(), table["hp"].T, strict=True))
            loss_NE = table["valid"][:, 1:].astype(float)  # the first point is before any training
        # They were drawn with 1 - beta on a log scale, as one would search them: half of all betas are above 0.99.
        columns = {
            (f"one_minus_{key}" if key in BETAS else key): (1 - values if key in BETAS else values)
            for key, values in columns.items()
        }
        domains = {key: Domain("float", low=v.min(), high=v.max(), log=True) for key, v in columns.items()}
        self.epochs = loss_NE.shape[1]
        self.study: TableStudy = table_study(f"taskset {name}", domains, START, self.epochs)
        self._paths = list(self.study.space.domains)
        self._low_D = np.log([domains[path].low for path in self._paths])
        self._range_D = np.log([domains[path].high for path in self._paths]) - self._low_D
        self._recorded_ND = self._unit(np.stack([columns[path] for path in self._paths], 1))
        self._diverged_NE = np.isnan(loss_NE)
        self._value_NE = -np.minimum(np.nan_to_num(loss_NE, nan=HIGHEST_LOSS), HIGHEST_LOSS)

    def curves(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """Minus the loss after each epoch, (points, epochs). A point has diverged where most of its neighbours have."""
        nearest = self._nearest(points)
        value_ME, diverged_ME = self._value_NE[nearest].mean(1), self._diverged_NE[nearest].mean(1) > 0.5
        return np.where(np.logical_or.accumulate(diverged_ME, 1), np.nan, value_ME)

    def last_values(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """The value of the last epoch, (points,)."""
        return np.nan_to_num(self.curves(points)[:, -1], nan=self.lowest)

    def epoch_seconds(self, params: Mapping[str, Value]) -> float:
        """Seconds of an epoch: the same for all."""
        return EPOCH_SECONDS

    def _nearest(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        unit_MD = self._unit(np.array([[point[path] for path in self._paths] for point in points], float))
        squares = (unit_MD**2).sum(1)[:, None] + (self._recorded_ND**2).sum(1) - 2 * unit_MD @ self._recorded_ND.T
        return np.argpartition(squares, NEAREST, axis=1)[:, :NEAREST]

    def _unit(self, values: np.ndarray) -> np.ndarray:
        return (np.log(values) - self._low_D) / self._range_D
