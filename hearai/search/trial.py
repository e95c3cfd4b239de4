"""One trial: `fit` in a reused Tune actor, or in a Ray Train worker group that a Tune function drives.

What a trial function gets (its `payload`, plain YAML types so that any node can read it):
study (its name), number, kind ("base", "search" or "final"), label, title (for the dashboard), folder, config (as
`to_dict` gives it), threads, splits (on how many divisions of the clips), workers, of each its cpus and gpus,
hang_seconds (how long it may report nothing), log_from (bytes of its log before this attempt), home (the study's folder
in the driver), and storage (the object store that `--storage` named, or None).
"""

import gc
from pathlib import Path
from typing import Any

import ray.tune
import torch

from hearai.config import Config
from hearai.metrics import COSTS
from hearai.search.around import Around, surroundings
from hearai.search.trial_folder import Stopped
from hearai.training.loop import FitResult, fit
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.splits import Report, fit_splits

KEYS = ("epoch", "epochs", "objective", "best_epoch", "diverged", "seconds", *COSTS)
"""What the searcher and the scheduler read from a report; of the costs those that were measured."""


class TuneRuntime(LocalRuntime):
    """A run alone in a Tune actor; it reports to the search, and goes on where an earlier attempt stopped."""

    def __init__(self, folder: Path, gpu: int, around: Around, whole: Report):
        super().__init__(choose_device(gpu), folder, resume=True)
        self.study, self._around, self._whole = around.study, around, whole

    def leaves(self, step: int) -> bool:
        return bool(self._around.notice)

    def check_in(self) -> None:
        self._around.place.check_in()

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        super().report(metrics, checkpoint)
        metrics = self._whole(metrics)
        self._around.told(metrics, self.device)
        try:
            ray.tune.report({key: metrics[key] for key in KEYS if key in metrics})
        except SystemExit as end:  # Tune's way of stopping a trial
            raise Stopped(end.code) from None


def run_trial(payload: dict[str, Any]) -> None:
    """The trial function of one-worker trials."""
    torch.set_num_threads(payload["threads"])
    try:
        with surroundings(payload) as around:
            gpu = assigned_gpu(around.place.config)

            def run(config: Config, folder: Path, whole: Report) -> FitResult:
                return fit(config, TuneRuntime(folder, gpu, around, whole))

            fit_splits(around.place.config, around.place.folder, payload["splits"], run)
    finally:
        forget()


def assigned_gpu(config: Config) -> int:
    """The number, for this process, of the GPU that Ray has given it; -1 = none, or none is wanted."""
    return 0 if config.general_parameters.gpu >= 0 and ray.get_gpu_ids() else -1


def run_worker_group(payload: dict[str, Any]) -> None:
    """The trial function of trials with several workers: waits for a Ray Train worker group."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    from hearai.search.worker import train_worker

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

BEGUN = "begun"
"""What the workers of a group report first. Until there is room for them on the cluster, they have not begun."""


def worker_resources(cpus: float, gpus: float) -> dict[str, float]:
    """What one worker of a group asks for: room is left for the drivers, or 2 x 1 CPU never fits on 2 CPUs."""
    resources = {"CPU": max(cpus - DRIVERS_CPU, DRIVERS_CPU)}
    return {**resources, "GPU": gpus} if gpus else resources


def forget() -> None:
    """Releases what a run held, so that a reused actor does not grow."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
