"""Times the epochs of a run, each with its evaluation and checkpoint, as `fit` makes them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.training.features.feature_cache import BACKBONE_MODULE
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime


@dataclass(frozen=True)
class EpochTime:
    """What one epoch has cost."""

    seconds: float
    """Wall time."""
    cpu_seconds: float
    """CPU time of this process with all its threads, without loader processes."""


class _TimedRuntime(LocalRuntime):
    def __init__(self, device: torch.device, folder: Path):
        super().__init__(device, folder)
        self.times: list[tuple[float, float]] = []

    def report(self, metrics: Mapping[str, float], checkpoint: Path | None) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.times.append((time.perf_counter(), time.process_time()))


def time_epochs(
    config: Config, folder: Path, *, frozen: bool, epochs: int = 3, device: torch.device | str = "cpu"
) -> list[EpochTime]:
    """Trains `epochs` + 1 epochs and times all but the first, in which features or frames are prepared.

    Args:
        config: a run whose data and weights are known (see `prepare.with_data`, `with_weights`).
        folder: of the run; it must not hold one.
        frozen: keeps the backbone frozen, so that it is trained on cached features; otherwise all parts are trained.
    """
    parts = {BACKBONE_MODULE: [True]} if frozen else {}
    config = override(
        config,
        {
            "freeze_scheduler.model_params": parts,
            "train_parameters.epochs": epochs + 1,
            "train_parameters.stop_after_epoch": None,
        },
    )
    runtime = _TimedRuntime(torch.device(device), folder)
    fit(config, runtime)
    marks = zip(runtime.times, runtime.times[1:], strict=False)
    return [EpochTime(later[0] - earlier[0], later[1] - earlier[1]) for earlier, later in marks]
