"""The reference of a search: the way that Ray documents, with nothing of our search in it.

Each Tune trial starts a Ray Train run (`Tuner` over a function that calls `TorchTrainer.fit`), proposed by
`OptunaSearch` and stopped by `ASHAScheduler`. In every epoch JPEGs are decoded and the frozen extractor is run.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.tune
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from hearai.benchmarks.speed.costs import Cost, ProcessesCpu, measured, median
from hearai.benchmarks.speed.measured_trials import TrialClock
from hearai.config.config import to_dict
from hearai.config.study import Study
from hearai.search.sampling.samplers import distribution_of

WORKER_CPUS, DRIVER_CPUS = 0.99, 0.01
"""Of each trial: its Ray Train worker, and the Tune trial that waits for it."""


@dataclass(frozen=True)
class DocumentedSearch:
    """What a search in the documented way costs."""

    trials: int
    first_trial: float
    """Seconds from the call until the first trial trains; wall time."""
    overhead: Cost
    """Of a trial, beyond its epochs: wall time of its slot, and CPU time of all processes."""
    epoch: Cost
    """Of an epoch, validation and checkpoint included; by rule of three from the steps that were taken."""


def train_worker(config: dict[str, Any]) -> None:
    """The function of a Ray Train worker. config: the parameters, and what `search` adds under "fixed"."""
    from hearai.benchmarks.speed.plain_loop import PlainRun
    from hearai.config.config import build_config
    from hearai.config.overrides import override
    from hearai.training.optim.torch_options import use_threads

    fixed, started = config["fixed"], time.time()
    params = {path: value for path, value in config.items() if path != "fixed"}
    use_threads(fixed["threads"])
    run = PlainRun(override(build_config(fixed["config"]), params), frozen=True)
    record: dict[str, Any] = {"start": started, "train": [], "val": [], "save": []}
    record["steps"] = [len(run.train_loader), len(run.val_loader)]
    for epoch in range(1, fixed["epochs"] + 1):
        with measured() as training:
            run.train(fixed["steps"])
        with measured() as validation:
            score = run.validate(fixed["steps"])
        with tempfile.TemporaryDirectory() as folder:
            with measured() as saving:
                run.save(Path(folder) / "model.pt")
            for name, watch in (("train", training), ("val", validation), ("save", saving)):
                record[name].append(asdict(watch.cost))
            Path(fixed["records"], f"{os.getpid()}-{started}.json").write_text(json.dumps(record), encoding="utf-8")
            checkpoint = ray.train.Checkpoint.from_directory(folder)
            ray.train.report({"objective": score, "epoch": epoch}, checkpoint=checkpoint)


def run_trial(config: dict[str, Any]) -> None:
    """The function of a Tune trial."""
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=config,
        scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": WORKER_CPUS}),
        run_config=ray.train.RunConfig(
            name=f"train-{ray.tune.get_context().get_trial_id()}",
            storage_path=str(Path(config["fixed"]["records"]).parent / "train"),
            callbacks=[TuneReportCallback()],
        ),
    )
    trainer.fit()


def search(study: Study, folder: Path, *, trials: int, epochs: int, steps: int) -> DocumentedSearch:
    """Searches in the Ray of this machine, one trial at a time.

    Ray must have a dashboard: without one, its cleaner of worker groups never frees the CPUs of a trial that ASHA has
    stopped, and the search hangs.

    Args:
        steps: of each epoch, and of its validation; the rest is computed by rule of three.
    """
    (folder / "records").mkdir(parents=True)
    started = time.time()
    with ProcessesCpu() as cpu:
        clock = TrialClock(cpu)
        _tuner(study, folder, clock, trials=trials, epochs=epochs, steps=steps).fit()
    records = [json.loads(path.read_text()) for path in (folder / "records").glob("*.json")]
    records.sort(key=lambda record: record["start"])
    return summary(clock.later_trials(), records, started, steps)


def _tuner(study: Study, folder: Path, clock: TrialClock, *, trials: int, epochs: int, steps: int) -> ray.tune.Tuner:
    fixed = {"config": to_dict(study.base), "epochs": epochs, "steps": steps, "threads": 1}
    space = {path: distribution_of(domain) for path, domain in study.space.domains.items()}
    optuna = OptunaSearch(space=space, metric="objective", mode="max", seed=study.settings.seed)
    return ray.tune.Tuner(
        ray.tune.with_resources(
            ray.tune.with_parameters(_trial_with, fixed={**fixed, "records": str(folder / "records")}),
            {"CPU": DRIVER_CPUS},
        ),
        tune_config=ray.tune.TuneConfig(
            search_alg=optuna,
            scheduler=ASHAScheduler(
                time_attr="epoch", metric="objective", mode="max", max_t=epochs, grace_period=1, reduction_factor=2
            ),
            num_samples=trials,
            max_concurrent_trials=1,
        ),
        run_config=ray.tune.RunConfig(name="documented", storage_path=str(folder), verbose=0, callbacks=[clock]),
    )


def _trial_with(config: dict[str, Any], fixed: dict[str, Any]) -> None:
    run_trial({**config, "fixed": fixed})


def summary(later: Cost, records: Sequence[Mapping[str, Any]], started: float, steps: int) -> DocumentedSearch:
    """Costs of a trial and an epoch.

    Args:
        later: of all trials but the first.
        records: as `train_worker` writes them, in the order of their start.
        started: when the search was called, `time.time()`.
    """
    epochs = []
    for number, record in enumerate(records):
        scales = [max(1.0, of_epoch / steps) for of_epoch in record["steps"]]
        for train, val, save in zip(record["train"], record["val"], record["save"], strict=True):
            parts = [Cost(**train), Cost(**val), Cost(**save)]
            epochs.append(parts[0] * scales[0] + parts[1] * scales[1] + parts[2])
            if number:
                later = later - parts[0] - parts[1] - parts[2]
    overhead = later * (1 / max(1, len(records) - 1))
    return DocumentedSearch(len(records), records[0]["start"] - started, overhead, median(epochs))
