"""A single run through Ray Train, in this process (local mode) or as a worker group: `train.py --ray`."""

from pathlib import Path

from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from hearai.config.config import Config, to_dict
from hearai.config.model_parts.code_folder import code_to_send
from hearai.search.cluster.connect import RayConnection
from hearai.search.cluster.resources import TrialResources
from hearai.search.trial.spec import TrialSpec
from hearai.search.trial.worker_group import train_worker
from hearai.training.outputs.run_lock import run_lock


def train_with_ray(config: Config, folder: Path, workers: int, threads: int | None = None) -> None:
    """Runs `fit` in the worker function of Ray Train, with its files in `folder`.

    Args:
        workers: 0 = local mode: this process, no cluster, breakpoints work; K = a group of K processes.
        threads: torch's threads in each process; None = one.

    Raises:
        ConfigError: another process trains in the folder.
    """
    scaling = ScalingConfig(num_workers=0)
    per_worker = TrialResources(workers=max(workers, 1))
    if workers:
        cluster = RayConnection(None).join()
        cluster.slots(per_worker)
        use_gpu = cluster.gpus >= workers and config.general_parameters.gpu >= 0
        scaling = ScalingConfig(num_workers=workers, use_gpu=use_gpu)
    spec = TrialSpec.single_run(
        folder,
        to_dict(config),
        threads=threads or per_worker.threads,
        workers=per_worker.workers,
        code=code_to_send(),
    )
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=spec.to_dict(),
        scaling_config=scaling,
        run_config=RunConfig(name="train", storage_path=str(folder.absolute() / "ray")),
    )
    with run_lock(folder):
        trainer.fit()
