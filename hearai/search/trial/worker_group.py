"""A Ray Train worker group, and a trial with several workers: `fit` in such a group, which a Tune trial drives.

The worker function also serves a single run in Ray Train's local mode.
"""

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ray.train
import ray.train.torch
import ray.tune
import torch
import torch.distributed as dist
from ray.exceptions import RayActorError
from ray.train.v2._internal.constants import ENV_VARS_TO_PROPAGATE
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hearai.config.config import Config
from hearai.search.trial.context import TrialContext, release_memory, trial_context
from hearai.search.trial.spec import TrialSpec
from hearai.training.optim.torch_options import use_threads
from hearai.training.outputs.layout import LAST, holds_checkpoint
from hearai.training.runtime import log_divergence, log_epoch
from hearai.training.setup.cross_validation import FoldProgress, fit_folds

if TYPE_CHECKING:
    from ray.train import UserCallback

SYNC_STEPS = 4
"""Steps between two exchanges in which the workers of a group agree on whether they are preempted."""
CAUSE_TIMEOUT_S = 30.0
"""How long a worker that has lost the connection to a peer waits for Ray to learn why the peer died."""
DRIVER_CPU, RESERVED_CPU = 0.0001, 0.01
"""CPUs of a trial that only waits for its workers, as Ray refuses zero, and CPUs that the workers on a node leave for
all of those: there may be a hundred on it."""
WORKERS_STARTED = "begun"
"""First report of a group's workers. Until then they may be waiting for room on the cluster."""


class GroupMember:
    """One worker of a Ray Train group: gradients averaged by DDP, metrics summed over all workers."""

    def __init__(self, config: Config):
        worker = ray.train.get_context()
        self.rank, self.world = worker.get_world_rank(), worker.get_world_size()
        on_gpu = config.general_parameters.gpu >= 0 and torch.cuda.is_available()
        self.device = ray.train.torch.get_device() if on_gpu else torch.device("cpu")

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


class RayRuntime(GroupMember):
    """The runtime of a trial's worker."""

    save_seconds = 0.0  # a group that is stopped or paused ends without notice
    sends_folder = True

    def __init__(self, folder: Path, progress: FoldProgress, *, context: TrialContext):
        super().__init__(context.folder.config)
        self.folder, self.study, self._context, self._progress = folder, context.spec.study, context, progress
        self._divergence = ""

    def on_divergence(self, reason: str) -> None:
        self._divergence = reason
        if self.rank == 0:
            log_divergence(reason)

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        """All workers hold the same, already summed metrics; Ray Train forwards those of rank 0."""
        if self.rank == 0:
            log_epoch(metrics)
        merged = self._progress.merge(metrics)
        self._context.on_report(merged, self.device)
        ray.train.report(merged | ({"reason": self._divergence} if self._divergence else {}))

    def is_preempted(self, step: int) -> bool:
        """Whether any worker's node is preempted. The workers agree every few steps only: it costs an all-reduce."""
        if self.world == 1:
            return bool(self._context.preemption)
        if step % SYNC_STEPS:
            return False
        return bool(self.sum(torch.tensor([float(bool(self._context.preemption))])).item())

    def ensure_current_attempt(self) -> None:
        self._context.folder.ensure_current_attempt()

    def restore_from(self) -> Path | None:
        last = self.folder / LAST
        return last if holds_checkpoint(last) else None

    def report_missing(self, history: Sequence[dict[str, float]]) -> None:
        for merged in self._progress.missing(history):
            ray.train.report(merged)


def train_worker(config: dict[str, Any]) -> None:
    """The function of each worker; config: a `TrialSpec` as a dictionary."""
    spec, worker = TrialSpec.from_dict(config), ray.train.get_context()
    if spec.study:
        ray.train.report({WORKERS_STARTED: 1.0})
    use_threads(spec.threads)
    rank, first_on_node = worker.get_world_rank(), worker.get_local_rank() == 0
    try:
        with (
            trial_context(spec, rank=rank, first_on_node=first_on_node, barrier=_barrier) as context,
            _peer_failures_delayed(),
        ):
            runtime = functools.partial(RayRuntime, context=context)
            fit_folds(context.folder.config, context.folder.path, spec.folds, runtime, reported=spec.reported)
    finally:
        release_memory()


@contextmanager
def _peer_failures_delayed() -> Iterator[None]:
    """Delays an error that a peer's death has caused here: Ray ends this process once it knows the cause."""
    try:
        yield
    except (RuntimeError, RayActorError) as error:
        if is_peer_failure(error):
            time.sleep(CAUSE_TIMEOUT_S)
        raise


def is_peer_failure(error: Exception) -> bool:
    """Whether the error only shows that another worker, or the actor that waits for the group, has died.

    (Gloo's errors have no type of their own.)
    """
    return isinstance(error, (dist.DistError, RayActorError)) or "/gloo/" in str(error)


def _barrier() -> None:
    if dist.is_initialized():
        dist.barrier()


def run_worker_group(config: dict[str, Any]) -> None:
    """The function of a Tune trial with several workers: starts a Ray Train worker group and waits for it.

    config: a `TrialSpec` as a dictionary.
    """
    from ray.tune.integration.ray_train import TuneReportCallback

    spec = TrialSpec.from_dict(config)
    size, folder = GroupSize(spec.workers, spec.cpus, spec.gpus), Path(spec.folder).absolute() / "ray"
    run_group(train_worker, spec.to_dict(), size, folder, [TuneReportCallback()])


class GroupSize(NamedTuple):
    """The resources of a group."""

    workers: int
    cpus: float
    """Of each worker."""
    gpus: float
    """Of each worker."""


def run_group(
    worker: Callable[[dict[str, Any]], Any],
    config: Mapping[str, Any],
    size: GroupSize,
    folder: Path,
    callbacks: Sequence["UserCallback"] = (),
) -> Any:
    """Runs a function in each worker of a Ray Train worker group; what it returns on rank 0.

    Args:
        config: plain values, which the function gets.
        folder: for Ray's own files.

    Raises:
        ray.train.TrainingFailedError: a worker failed, or its node died. Nothing is retried: the caller decides.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        worker,
        train_loop_config=dict(config),
        scaling_config=ScalingConfig(
            num_workers=size.workers,
            use_gpu=size.gpus > 0,
            resources_per_worker=worker_resources(size.cpus, size.gpus),
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(folder),
            failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
            callbacks=list(callbacks),
        ),
    )
    _pass_address_on()
    return trainer.fit().return_value


def _pass_address_on() -> None:
    """Gives the actors of this group the address of the cluster they run on.

    Ray's process that frees the CPUs and GPUs of a stopped group otherwise looks for a Ray by itself, and ends where it
    finds two: the next group would never start.
    """
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    ENV_VARS_TO_PROPAGATE.add("RAY_ADDRESS")


def worker_resources(cpus: float, gpus: float) -> dict[str, float]:
    """Resources of one worker of a group. They leave room for the drivers, or 2 x 1 CPU would never fit on 2 CPUs."""
    resources = {"CPU": max(cpus - RESERVED_CPU, RESERVED_CPU)}
    return {**resources, "GPU": gpus} if gpus else resources
