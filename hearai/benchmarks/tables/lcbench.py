"""LCBench: fully connected networks on 34 tabular datasets of OpenML, 52 epochs each, as YAHPO's surrogate predicts.

Zimmer, Lindauer and Hutter, "Auto-PyTorch Tabular", TPAMI 2021; Pfisterer et al., "YAHPO Gym", AutoML 2022. The
surrogate is a neural network in ONNX; it has no noise between seeds.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hearai.benchmarks.tables.table_study import TableStudy, table_study
from hearai.config.search_space.domains import Domain, Value

EPOCHS = 52
INPUTS = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout")
"""Parameters in the order in which the surrogate takes them, after the epoch."""
SECONDS, ACCURACY = 0, 1
"""Columns of its output: seconds until the epoch's end, validation accuracy in percent."""
START: Mapping[str, Value] = {
    "batch_size": 128,
    "learning_rate": 1e-2,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "num_layers": 3,
    "max_units": 256,
    "max_dropout": 0.2,
}
"""The base config: the usual settings of SGD with momentum, and the middle of the space for the network."""


def task_names(folder: Path) -> list[str]:
    """The ids of the 34 OpenML tasks, sorted."""
    return sorted(_hyperparameters(folder)["OpenML_task_id"]["choices"])


class LCBench:
    """One OpenML task; values are validation accuracies in [0, 1]."""

    lowest = 0.0

    def __init__(self, folder: Path, name: str):
        self.epochs = EPOCHS
        domains = {path: _domain(_hyperparameters(folder)[path]) for path in INPUTS}
        self.study: TableStudy = table_study(f"lcbench {name}", domains, START, EPOCHS)
        self._session, self._code = _session(folder), json.loads((folder / "encoding.json").read_text())
        self._code = self._code["OpenML_task_id"][name]

    def curves(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """The accuracy after each epoch, (points, epochs)."""
        output = self._predict(points, range(1, EPOCHS + 1))
        return output[:, ACCURACY].reshape(len(points), EPOCHS).astype(float) / 100

    def last_values(self, points: Sequence[Mapping[str, Value]]) -> np.ndarray:
        """The accuracy after the last epoch, (points,): a fiftieth of the work of the whole curves."""
        return self._predict(points, [EPOCHS])[:, ACCURACY].astype(float) / 100

    def epoch_seconds(self, params: Mapping[str, Value]) -> float:
        """Seconds of an epoch on the authors' machines."""
        return max(0.01, float(self._predict([params], [EPOCHS])[0, SECONDS]) / EPOCHS)

    def _predict(self, points: Sequence[Mapping[str, Value]], epochs: Sequence[int]) -> np.ndarray:
        rows = [[epoch, *(point[path] for path in INPUTS)] for point in points for epoch in epochs]
        codes = np.full((len(rows), 1), self._code, np.int32)
        return self._session.run(None, {"x_cat": codes, "x_cont": np.array(rows, np.float32)})[0]


@functools.cache
def _hyperparameters(folder: Path) -> dict[str, dict[str, Any]]:
    """{name: its entry} of config_space.json."""
    entries = json.loads((folder / "config_space.json").read_text())["hyperparameters"]
    return {entry["name"]: entry for entry in entries}


def _domain(entry: Mapping[str, Any]) -> Domain:
    kind = {"uniform_int": "int", "uniform_float": "float"}[entry["type"]]
    return Domain(kind, low=entry["lower"], high=entry["upper"], log=entry["log"])


@functools.cache
def _session(folder: Path) -> Any:
    """The surrogate; one for all tasks of a process, with one thread: searches run in processes of their own.

    Raises:
        ValueError: the file is not a model.
    """
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf, NoSuchFile

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    except (InvalidProtobuf, NoSuchFile, Fail, InvalidGraph) as error:
        raise ValueError(f"model.onnx: {error}") from None
