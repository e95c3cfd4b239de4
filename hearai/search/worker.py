"""The Ray Train worker: `RayRuntime` around `fit`. One of K in a group, or alone in Ray Train's local mode."""

from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hearai.config import Config
from hearai.search.around import Around, surroundings
from hearai.search.trial import forget
from hearai.training.checkpoint import LAST
from hearai.training.loop import FitResult, fit
from hearai.training.splits import Report, fit_splits

AGREE_STEPS = 4
"""How often the workers of a group ask each other whether to leave."""


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
        metrics = self._whole(metrics)
        self._around.told(metrics, self.device)
        ray.train.report(metrics)

    def leaves(self, step: int) -> bool:
        """One worker's node is reason enough. They agree every few steps, as asking costs a round of messages."""
        if self.world == 1:
            return bool(self._around.notice)
        return step % AGREE_STEPS == 0 and bool(self.sum(torch.tensor([float(bool(self._around.notice))])).item())

    def restore_from(self) -> Path | None:
        last = self.folder / LAST
        return last if last.is_dir() else None


def train_worker(payload: dict[str, Any]) -> None:
    """The worker function; `payload` as in `hearai.search.trial`."""
    torch.set_num_threads(payload["threads"])
    context = ray.train.get_context()
    rank, first_here = context.get_world_rank(), context.get_local_rank() == 0
    try:
        with surroundings(payload, rank=rank, first_here=first_here, wait=_wait_for_all) as around:
            config = around.place.config
            on_gpu = config.general_parameters.gpu >= 0 and torch.cuda.is_available()

            def run(config: Config, folder: Path, whole: Report) -> FitResult:
                return fit(config, RayRuntime(folder, on_gpu=on_gpu, around=around, whole=whole))

            fit_splits(config, around.place.folder, payload["splits"], run)
    finally:
        forget()


def _wait_for_all() -> None:
    if dist.is_initialized():
        dist.barrier()
