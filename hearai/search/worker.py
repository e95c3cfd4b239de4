"""The Ray Train worker: `RayRuntime` around `fit`. One of K in a group, or alone in Ray Train's local mode."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hearai.config import Config
from hearai.search.drain import Notice, preemption_notice
from hearai.search.fault_log import fault_log
from hearai.search.on_node import Place, trial_place
from hearai.search.trial import forget
from hearai.search.trial_folder import LOG, trial_log
from hearai.training.checkpoint import LAST
from hearai.training.loop import FitResult, fit
from hearai.training.splits import Report, fit_splits

AGREE_STEPS = 4
"""How often the workers of a group ask each other whether to leave."""


class RayRuntime:
    """One worker of a Ray Train group: gradients averaged by DDP, metrics summed over all workers."""

    def __init__(
        self,
        folder: Path,
        *,
        on_gpu: bool,
        study: str | None,
        told: Callable[[], None],
        notice: Notice,
        whole: Report,
    ):
        context = ray.train.get_context()
        self.rank, self.world = context.get_world_rank(), context.get_world_size()
        self.device = ray.train.torch.get_device() if on_gpu else torch.device("cpu")
        self.folder, self.study, self._told, self._notice, self._whole = folder, study, told, notice, whole

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
        self._told()
        ray.train.report(self._whole(metrics))

    def leaves(self, step: int) -> bool:
        """One worker's node is reason enough. They agree every few steps, as asking costs a round of messages."""
        if self.world == 1:
            return bool(self._notice)
        return step % AGREE_STEPS == 0 and bool(self.sum(torch.tensor([float(bool(self._notice))])).item())

    def restore_from(self) -> Path | None:
        last = self.folder / LAST
        return last if last.is_dir() else None


def train_worker(payload: dict[str, Any]) -> None:
    """The worker function; `payload` as in `hearai.search.trial`."""
    torch.set_num_threads(payload["threads"])
    try:
        with _place(payload) as place, trial_log(place.folder), _notice() as notice:
            with fault_log(place.folder / LOG, payload["hang_seconds"]) as alive:
                on_gpu = place.config.general_parameters.gpu >= 0 and torch.cuda.is_available()

                def told() -> None:
                    alive()
                    place.send()

                def run(config: Config, folder: Path, whole: Report) -> FitResult:
                    surroundings = {"told": told, "notice": notice, "whole": whole}
                    return fit(config, RayRuntime(folder, on_gpu=on_gpu, study=payload["study"], **surroundings))

                fit_splits(place.config, place.folder, payload["splits"], run)
    finally:
        forget()


@contextmanager
def _place(payload: dict[str, Any]) -> Iterator[Place]:
    """The trial's place; the first worker on each node brings its files there, and the others wait."""
    context = ray.train.get_context()
    with trial_place(payload, writes=context.get_world_rank() == 0, fetches=context.get_local_rank() == 0) as place:
        if dist.is_initialized():
            dist.barrier()
        yield place


def _notice() -> AbstractContextManager[Notice]:
    """Of this worker's node; in Ray Train's local mode there is no cluster, and none comes."""
    return preemption_notice() if ray.is_initialized() else nullcontext(Notice())
