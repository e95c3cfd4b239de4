"""The Ray Train worker: `RayRuntime` around `fit`. One of K in a group, or alone in Ray Train's local mode."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hearai.config import build_config
from hearai.search.fault_log import fault_log
from hearai.search.gauges import Told, trial_gauges
from hearai.search.trial import forget
from hearai.search.trial_folder import LOG, trial_log
from hearai.training.checkpoint import LAST
from hearai.training.loop import fit
from hearai.training.splits import Report, fit_splits


class RayRuntime:
    """One worker of a Ray Train group: gradients averaged by DDP, metrics summed over all workers."""

    def __init__(
        self,
        folder: Path,
        *,
        on_gpu: bool,
        study: str | None,
        reported: Callable[[], None],
        told: Told,
        whole: Report = dict,
    ):
        context = ray.train.get_context()
        self.rank, self.world = context.get_world_rank(), context.get_world_size()
        self.device = ray.train.torch.get_device() if on_gpu else torch.device("cpu")
        self.folder, self.study, self._reported, self._told, self._whole = folder, study, reported, told, whole

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
        self._reported()
        metrics = self._whole(metrics)
        self._told(metrics, self.device)
        ray.train.report(metrics)

    def restore_from(self) -> Path | None:
        last = self.folder / LAST
        return last if last.is_dir() else None


def train_worker(payload: dict[str, Any]) -> None:
    """The worker function; `payload` as in `hearai.search.trial`."""
    torch.set_num_threads(payload["threads"])
    config = build_config(payload["config"], f"trial {payload['number']}")
    on_gpu = config.general_parameters.gpu >= 0 and torch.cuda.is_available()
    folder = Path(payload["folder"])
    study = payload["study"] if ray.train.get_context().get_world_rank() == 0 else None
    try:
        with (
            trial_log(folder),
            fault_log(folder / LOG, payload["hang_seconds"]) as reported,
            trial_gauges(study, payload.get("label", "")) as told,
        ):
            fit_splits(
                config,
                folder,
                payload["splits"],
                lambda config, place, whole: fit(
                    config,
                    RayRuntime(place, on_gpu=on_gpu, study=payload["study"], reported=reported, told=told, whole=whole),
                ),
            )
    finally:
        forget()
