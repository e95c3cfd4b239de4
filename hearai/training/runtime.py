"""The interface between a run and its environment: this process, a Tune actor, or a group of workers."""

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from hearai.errors import ConfigError
from hearai.metrics import CHOSEN_SCORE, DIVERGED_LOSS, OBJECTIVE, SCORE
from hearai.training.outputs.layout import LAST, holds_checkpoint

log = logging.getLogger(__name__)

SAVE_SECONDS = 5.0
"""A run that is killed repeats at most these seconds, and the epoch in which it was killed."""


class Runtime(Protocol):
    """All that `fit` knows of its environment."""

    rank: int
    """Number of this worker, from 0; rank 0 writes files."""
    world: int
    """Number of workers of the run."""
    device: torch.device
    folder: Path
    """Folder of this run: config.yaml, metrics.jsonl, tensorboard/, last/, best/."""
    study: str | None
    """Name of the study that this run is a trial of."""
    save_seconds: float
    """At least between two checkpoints while nothing ends the run; 0 = one after each epoch, before it is reported."""
    sends_folder: bool
    """Whether `report` sends the folder's files elsewhere: a checkpoint that was begun is complete before it. Otherwise
    all but the first may be written beside the next epoch."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """The module to call in training, so that all workers' gradients are averaged.

        Called again whenever the set of parameters that require grad has changed.
        """

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum over all workers."""

    def on_divergence(self, reason: str) -> None:
        """The epoch reported next has diverged. Called by all workers with equal reasons."""

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """One finished epoch. Called by all workers with equal metrics; rank 0 passes its `last` folder.

        May raise to end the run, whose folder then holds this epoch, once `fit` has returned. Until then it may hold an
        earlier one (see `save_seconds`, `sends_folder`), and is overwritten after this returns.
        """

    def restore_from(self) -> Path | None:
        """The `last` folder of this run's earlier, unfinished attempt."""

    def report_missing(self, history: Sequence[dict[str, float]]) -> None:
        """Reports those epochs of an earlier attempt whose reports have not arrived, before its last one is reported.

        history: the metrics of its epochs but the last. As `report`, may raise to end the run.
        """

    def ensure_current_attempt(self) -> None:
        """Called by rank 0 each time before it writes.

        Raises:
            Superseded: the run continues in another process; nothing may be written here.
        """

    def is_preempted(self, step: int) -> bool:
        """Whether the run must stop after this step of an epoch, to be resumed elsewhere; equal on all workers."""


def log_epoch(metrics: Mapping[str, float]) -> None:
    """One readable line; metrics: as reported."""
    objective = f" (objective {metrics[CHOSEN_SCORE]:.3f})" if CHOSEN_SCORE in metrics else ""
    log.info(
        "epoch %d: train loss %s, val loss %s, val macro-F1 %.3f%s, best %.3f (%.1f s)",
        metrics["epoch"],
        *(_format_loss(metrics[key]) for key in ("train/loss", "val/loss")),
        metrics[SCORE],
        objective,
        *(metrics[key] for key in (OBJECTIVE, "seconds")),
    )


def _format_loss(loss: float) -> str:
    """Losses beyond a million would be rows of digits."""
    if loss == DIVERGED_LOSS:
        return "not finite"
    return f"{loss:.3f}" if abs(loss) < 1e6 else f"{loss:.3g}"


def log_divergence(reason: str) -> None:
    """One readable line."""
    log.warning("%s", reason)


class LocalRuntime:
    """A run alone in this process, as a debugger needs it."""

    rank, world = 0, 1
    study: str | None = None
    save_seconds = SAVE_SECONDS
    sends_folder = False

    def __init__(self, device: torch.device | str, folder: str | Path, *, resume: bool = False):
        self.device, self.folder = torch.device(device), Path(folder)
        self.divergence = ""
        """The reason, once the run has diverged."""
        self._resume = resume

    def wrap(self, model: nn.Module) -> nn.Module:
        return model

    def sum(self, values: Tensor) -> Tensor:
        return values

    def on_divergence(self, reason: str) -> None:
        self.divergence = reason
        log_divergence(reason)

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        log_epoch(metrics)

    def is_preempted(self, step: int) -> bool:
        return False

    def ensure_current_attempt(self) -> None:
        """No other process runs this."""

    def restore_from(self) -> Path | None:
        last = self.folder / LAST
        return last if self._resume and holds_checkpoint(last) else None

    def report_missing(self, history: Sequence[dict[str, float]]) -> None:
        """Its log has all of them."""


def choose_device(gpu: int) -> torch.device:
    """CPU for -1, else that GPU; on a machine without GPUs the CPU, with a line in the log.

    Raises:
        ConfigError: there are GPUs, but not this one.
    """
    if gpu < 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        _log_no_gpu()
        return torch.device("cpu")
    if gpu >= torch.cuda.device_count():
        raise ConfigError(
            f"general_parameters.gpu: {gpu}; this machine has 0..{torch.cuda.device_count() - 1} (-1 = CPU)"
        )
    return torch.device("cuda", gpu)


@functools.cache
def _log_no_gpu() -> None:
    """Once per process."""
    log.info("no GPU on this machine: the CPU is used (general_parameters.gpu: -1 says so at once)")
