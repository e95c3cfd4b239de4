"""The seam between a run and what surrounds it: this process, a Tune actor, a group of workers."""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from hearai.errors import ConfigError
from hearai.metrics import CHOSEN_SCORE, OBJECTIVE, SCORE
from hearai.training.outputs.layout import LAST, holds_checkpoint

log = logging.getLogger(__name__)


class Runtime(Protocol):
    """All that `fit` knows of its surroundings."""

    rank: int
    """Number of this worker, 0 first; rank 0 writes files."""
    world: int
    """Number of workers of the run."""
    device: torch.device
    folder: Path
    """Folder of this run: config.yaml, metrics.jsonl, tensorboard/, last/, best/."""
    study: str | None
    """Name of the search that this run is a trial of."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """The module to call in training, so that all workers' gradients are averaged.

        Called again whenever other parameters require grad than before.
        """

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum over all workers."""

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """One finished epoch. Called by all workers with equal metrics; rank 0 gives its `last` folder.

        May raise to end the run. The folder is overwritten after the return.
        """

    def restore_from(self) -> Path | None:
        """The `last` folder of this run's earlier, unfinished attempt."""

    def ensure_current_attempt(self) -> None:
        """Called by rank 0 each time before it writes.

        Raises:
            Superseded: the run goes on in another process; nothing may be written here.
        """

    def is_preempted(self, step: int) -> bool:
        """Whether the run is to end after this step of an epoch, to go on elsewhere; all workers hear the same."""


def log_epoch(metrics: Mapping[str, float]) -> None:
    """One line for a person; metrics: as reported."""
    named = f" (objective {metrics[CHOSEN_SCORE]:.3f})" if CHOSEN_SCORE in metrics else ""
    log.info(
        "epoch %d: train loss %.3f, val loss %.3f, val macro-F1 %.3f%s, best %.3f (%.1f s)",
        *(metrics[key] for key in ("epoch", "train/loss", "val/loss", SCORE)),
        named,
        *(metrics[key] for key in (OBJECTIVE, "seconds")),
    )


class LocalRuntime:
    """A run alone in this process: what a debugger wants."""

    rank, world = 0, 1
    study: str | None = None

    def __init__(self, device: torch.device | str, folder: str | Path, *, resume: bool = False):
        self.device, self.folder = torch.device(device), Path(folder)
        self._resume = resume

    def wrap(self, model: nn.Module) -> nn.Module:
        return model

    def sum(self, values: Tensor) -> Tensor:
        return values

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        log_epoch(metrics)

    def is_preempted(self, step: int) -> bool:
        return False

    def ensure_current_attempt(self) -> None:
        """Nobody else runs this."""

    def restore_from(self) -> Path | None:
        last = self.folder / LAST
        return last if self._resume and holds_checkpoint(last) else None


def choose_device(gpu: int) -> torch.device:
    """CPU for -1, else that GPU; without any GPU the CPU, said in one line.

    Raises:
        ConfigError: there are GPUs, but not this one.
    """
    if gpu < 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        _say_no_gpu()
        return torch.device("cpu")
    if gpu >= torch.cuda.device_count():
        raise ConfigError(
            f"general_parameters.gpu: {gpu}; this machine has 0..{torch.cuda.device_count() - 1} (-1 = CPU)"
        )
    return torch.device("cuda", gpu)


@functools.cache
def _say_no_gpu() -> None:
    """Once a process is enough."""
    log.info("no GPU on this machine: training on the CPU (general_parameters.gpu: -1 says so at once)")
