"""One run through Ray Train: in this process (local mode), or as a group of workers. For `train.py --ray`."""

from pathlib import Path
from typing import Any

from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from hearai.config.config import Config, to_dict
from hearai.search.cluster.connect import connect
from hearai.search.cluster.resources import TrialResources
from hearai.search.trial.worker_group import train_worker


def train_with_ray(config: Config, folder: Path, workers: int) -> None:
    """Runs `fit` in the Ray Train worker function, its files in `folder`.

    workers: 0 = local mode: this process, no cluster, breakpoints stop; K = a group of K processes.
    """
    scaling = ScalingConfig(num_workers=0)
    per_worker = TrialResources(workers=max(workers, 1))
    if workers:
        cluster = connect(None)
        cluster.slots(per_worker)
        use_gpu = cluster.gpus >= workers and config.general_parameters.gpu >= 0
        scaling = ScalingConfig(num_workers=workers, use_gpu=use_gpu)
    payload: dict[str, Any] = {
        "study": None,
        "number": 0,
        "folder": str(folder.absolute()),
        "config": to_dict(config),
        "threads": per_worker.threads,
        "splits": 1,
        "workers": per_worker.workers,
        "hang_seconds": None,  # a breakpoint may stop it for as long as it likes
    }
    TorchTrainer(
        train_worker,
        train_loop_config=payload,
        scaling_config=scaling,
        run_config=RunConfig(name="train", storage_path=str(folder.absolute() / "ray")),
    ).fit()
