"""Runs of a study whose trackers are examined."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.config import Config
from hearai.training.fit import fit
from hearai.training.outputs.layout import LAST
from hearai.training.runtime import LocalRuntime


class TrialRuntime(LocalRuntime):
    """A trial of a study; it may be interrupted after some epochs."""

    study = "my-study"

    def __init__(self, folder: Path, *, stop_after: int = 0, resume: bool = False):
        super().__init__("cpu", folder, resume=resume)
        self._stop_after = stop_after

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        if metrics["epoch"] == self._stop_after:
            raise KeyboardInterrupt


def metric_lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def fit_interrupted(
    config: Config, folder: Path, *, between: Callable[[Path], None] = lambda last: None
) -> list[dict[str, float]]:
    """Fits two epochs, is interrupted, resumes to the end; returns the metrics of all epochs.

    between: called with the `last` folder before the run is resumed.
    """
    with pytest.raises(KeyboardInterrupt):
        fit(config, TrialRuntime(folder, stop_after=2))
    between(folder / LAST)
    fit(config, TrialRuntime(folder, resume=True))
    reports = metric_lines(folder)
    assert [report["epoch"] for report in reports] == [1, 2, 3, 4]
    return reports
