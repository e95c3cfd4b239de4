"""The Ray Train worker: `RayRuntime` around `fit`. One of K in a group, or alone in Ray Train's local mode."""

import time
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from ray.exceptions import RayActorError
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hearai.config import Config
from hearai.search.around import Around, surroundings
from hearai.search.trial import BEGUN, forget
from hearai.training.checkpoint import LAST, holds_checkpoint
from hearai.training.loop import FitResult, fit
from hearai.training.runtime import log_epoch
from hearai.training.splits import Report, fit_splits

AGREE_STEPS = 4
"""How often the workers of a group ask each other whether to leave."""

PATIENCE_S = 30.0
"""How long a worker that has lost touch with another one waits for Ray to hear from that one why."""


class RayRuntime:
    """One worker of a Ray Train group: gradients averaged by DDP, metrics summed over all workers."""

    def __init__(self, folder: Path, *, on_gpu: bool, around: Around, whole: Report):
        context = ray.train.get_context()
        self.rank, self.world = context.get_world_rank(), context.get_world_size()
        self.device = ray.train.torch.get_device() if on_gpu else torch.device("cpu")
        self.folder, self.study, self._around, self._whole = folder, around.study, around, whole

    def wrap(self, model: nn.Module) -> nn.Module:
        if self.world == 1 or not any(p.requires_grad for p in model.parameters()):
            return model
        return DistributedDataParallel(model, device_ids=[self.device] if self.device.type == "cuda" else None)

    def sum(self, values: Tensor) -> Tensor:
        if self.world > 1:
            total = values.to(self.device, copy=True)
            dist.all_reduce(total)
            return total.to(values.device)
        return values

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """All workers hold the same, already summed metrics; Ray Train hands on those of rank 0."""
        if self.rank == 0:
            log_epoch(metrics)
        metrics = self._whole(metrics)
        self._around.told(metrics, self.device)
        ray.train.report(metrics)

    def leaves(self, step: int) -> bool:
        """One worker's node is reason enough. They agree every few steps, as asking costs a round of messages."""
        if self.world == 1:
            return bool(self._around.notice)
        return step % AGREE_STEPS == 0 and bool(self.sum(torch.tensor([float(bool(self._around.notice))])).item())

    def check_in(self) -> None:
        self._around.place.check_in()

    def restore_from(self) -> Path | None:
        last = self.folder / LAST
        return last if holds_checkpoint(last) else None


def train_worker(payload: dict[str, Any]) -> None:
    """The worker function; `payload` as in `hearai.search.trial`."""
    if payload["study"]:
        ray.train.report({BEGUN: 1.0})
    torch.set_num_threads(payload["threads"])
    context = ray.train.get_context()
    rank, first_here = context.get_world_rank(), context.get_local_rank() == 0
    try:
        with surroundings(payload, rank=rank, first_here=first_here, wait=_wait_for_all) as around:
            on_gpu = around.place.config.general_parameters.gpu >= 0 and torch.cuda.is_available()

            def run(config: Config, folder: Path, whole: Report) -> FitResult:
                try:
                    return fit(config, RayRuntime(folder, on_gpu=on_gpu, around=around, whole=whole))
                except (RuntimeError, RayActorError) as error:
                    if lost_touch(error):
                        time.sleep(PATIENCE_S)  # Ray ends this process when it knows; what it says here hides the cause
                    raise

            fit_splits(around.place.config, around.place.folder, payload["splits"], run)
    finally:
        forget()


def lost_touch(error: Exception) -> bool:
    """Whether it is only what the death of another worker, or of what waits for them all, looks like from here.

    (Gloo's errors have no type of their own.)
    """
    return isinstance(error, (dist.DistError, RayActorError)) or "/gloo/" in str(error)


def _wait_for_all() -> None:
    if dist.is_initialized():
        dist.barrier()
