"""The Ray Train worker: `RayRuntime` around `fit`. One of K in a group, or alone in Ray Train's local mode."""

import time
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import ray.tune
import torch
import torch.distributed as dist
from ray.exceptions import RayActorError
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hearai.config.config import Config
from hearai.search.trial.context import TrialContext, release_memory, trial_context
from hearai.training.fit import FitResult, fit
from hearai.training.outputs.layout import LAST, holds_checkpoint
from hearai.training.runtime import log_epoch
from hearai.training.setup.cross_validation import Report, fit_splits

AGREE_STEPS = 4
"""How often the workers of a group ask each other whether to leave."""

CAUSE_TIMEOUT_S = 30.0
"""How long a worker that has lost touch with another one waits for Ray to hear from that one why."""


class RayRuntime:
    """One worker of a Ray Train group: gradients averaged by DDP, metrics summed over all workers."""

    def __init__(self, folder: Path, *, on_gpu: bool, context: TrialContext, whole: Report):
        worker = ray.train.get_context()
        self.rank, self.world = worker.get_world_rank(), worker.get_world_size()
        self.device = ray.train.torch.get_device() if on_gpu else torch.device("cpu")
        self.folder, self.study, self._context, self._whole = folder, context.study, context, whole

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
        self._context.on_report(metrics, self.device)
        ray.train.report(metrics)

    def is_preempted(self, step: int) -> bool:
        """One worker's node is reason enough. They agree every few steps, as asking costs a round of messages."""
        if self.world == 1:
            return bool(self._context.notice)
        return step % AGREE_STEPS == 0 and bool(self.sum(torch.tensor([float(bool(self._context.notice))])).item())

    def ensure_current_attempt(self) -> None:
        self._context.trial_folder.ensure_current_attempt()

    def restore_from(self) -> Path | None:
        last = self.folder / LAST
        return last if holds_checkpoint(last) else None


def train_worker(payload: dict[str, Any]) -> None:
    """The worker function; `payload` as in `hearai.search.trial.one_worker`."""
    if payload["study"]:
        ray.train.report({WORKERS_STARTED: 1.0})
    torch.set_num_threads(payload["threads"])
    worker = ray.train.get_context()
    rank, first_here = worker.get_world_rank(), worker.get_local_rank() == 0
    try:
        with trial_context(payload, rank=rank, first_here=first_here, wait=_wait_for_all) as context:
            on_gpu = context.trial_folder.config.general_parameters.gpu >= 0 and torch.cuda.is_available()

            def run(config: Config, folder: Path, whole: Report) -> FitResult:
                try:
                    return fit(config, RayRuntime(folder, on_gpu=on_gpu, context=context, whole=whole))
                except (RuntimeError, RayActorError) as error:
                    if is_peer_failure(error):
                        time.sleep(CAUSE_TIMEOUT_S)  # Ray ends this process when it knows the cause
                    raise

            fit_splits(context.trial_folder.config, context.trial_folder.folder, payload["splits"], run)
    finally:
        release_memory()


def is_peer_failure(error: Exception) -> bool:
    """Whether it is only what the death of another worker, or of what waits for them all, looks like from here.

    (Gloo's errors have no type of their own.)
    """
    return isinstance(error, (dist.DistError, RayActorError)) or "/gloo/" in str(error)


def _wait_for_all() -> None:
    if dist.is_initialized():
        dist.barrier()


def run_worker_group(payload: dict[str, Any]) -> None:
    """The trial function of trials with several workers: waits for a Ray Train worker group."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    trainer = TorchTrainer(
        train_worker,
        train_loop_config=dict(payload),
        scaling_config=ScalingConfig(
            num_workers=payload["workers"],
            use_gpu=payload["gpus"] > 0,
            resources_per_worker=worker_resources(payload["cpus"], payload["gpus"]),
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(Path(payload["folder"]).absolute() / "ray"),
            failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),  # the search decides, nobody else
            callbacks=[TuneReportCallback()],
        ),
    )
    trainer.fit()


DRIVER_CPU, DRIVERS_CPU = 0.0001, 0.01
"""What a trial that only waits for its workers asks of the cluster: zero is refused. And what is left for all of those
that Ray may put on one node: a hundred."""


WORKERS_STARTED = "begun"
"""What the workers of a group report first. Until there is room for them on the cluster, they have not begun."""


def worker_resources(cpus: float, gpus: float) -> dict[str, float]:
    """What one worker of a group asks for: room is left for the drivers, or 2 x 1 CPU never fits on 2 CPUs."""
    resources = {"CPU": max(cpus - DRIVERS_CPU, DRIVERS_CPU)}
    return {**resources, "GPU": gpus} if gpus else resources
