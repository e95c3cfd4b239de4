"""Real trials of a search on this machine, each with a record of where its time went. Frozen backbone, no finals."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import ray.tune

from hearai.benchmarks.speed.costs import Cost, ProcessesCpu, now
from hearai.benchmarks.speed.stack_sampler import Rule, sampled
from hearai.cli import Print
from hearai.config.overrides import override
from hearai.config.study import Request, Study, load_study
from hearai.errors import UserError
from hearai.files import caches_in
from hearai.search.trial.one_worker import run_trial
from hearai.training.features.feature_cache import BACKBONE_MODULE, ensure_features
from hearai.training.setup.prepare import with_data

RECORD = "measured.json"
"""File in a trial's folder."""
EPOCHS = "training and evaluation"

LAUNCH_RULES: Sequence[Rule] = (
    (EPOCHS, "training/fit.py", "_run_epoch"),
    ("data", "data/annotations/", ""),
    ("model", "hearai/models/", ""),
    ("costs of the model", "training/cost.py", ""),
    ("features", "training/features/", ""),
    ("trackers and config.yaml", "training/run_writer.py", "__init__"),
    ("last checkpoint", "training/run_writer.py", "save"),
    ("metrics", "training/run_writer.py", "log"),
    ("best checkpoint, images", "training/run_writer.py", "close"),
    ("optimizer and schedules", "training/trainer.py", "__init__"),
    ("report", "search/trial/one_worker.py", "report"),
    ("release of memory", "search/trial/context.py", "release_memory"),
    ("folder, log, notices", "search/trial/context.py", ""),
    ("folder, log, notices", "search/trial/log.py", ""),
    ("folder, log, notices", "search/trial/preemption.py", ""),
    ("folder, log, notices", "search/trial/trial_metrics.py", ""),
    ("payload", "search/trial/spec.py", ""),
    ("payload", "hearai/config/", ""),
)
"""The parts of a trial in its process."""
PER_EPOCH = (EPOCHS, "last checkpoint", "metrics", "report")
"""The parts that each epoch has."""


@dataclass(frozen=True)
class TrialRecord:
    """What a trial's process has measured; times are `time.time()`."""

    pid: int
    start: float
    end: float
    cpu: float
    """CPU seconds from start to end."""
    parts: Mapping[str, float]
    """{part: seconds of wall time}"""
    epochs: int
    cpu_parts: Mapping[str, float] = field(default_factory=dict)
    """{part: CPU seconds of the thread that runs the trial}"""


def measured_trial(config: dict[str, Any]) -> None:
    """The function of a Tune trial: runs it, and writes its record into its folder. config: a `TrialSpec` as a dict."""
    started, before = time.time(), now()
    cost = Cost()
    try:
        with sampled(LAUNCH_RULES) as profile:
            run_trial(config)
            cost = now() - before
    finally:
        shares, seconds = profile.shares(), time.time() - started
        record = TrialRecord(
            os.getpid(),
            started,
            started + seconds,
            cost.cpu or (now() - before).cpu,
            {part: share * seconds for part, share in shares.items()},
            config["config"]["train_parameters"]["epochs"],
            dict(profile.cpu),
        )
        (Path(config["folder"]) / RECORD).write_text(json.dumps(asdict(record)), encoding="utf-8")


def read_records(trials: Path) -> list[TrialRecord]:
    """The records of a search's trials in the order of their start."""
    records = [TrialRecord(**json.loads(path.read_text())) for path in trials.glob(f"*/{RECORD}")]
    return sorted(records, key=lambda record: record.start)


def demo_study(*, trials: int, epochs: int, cache: Path) -> Study:
    """The demo search of `hamnosys` with a frozen backbone of random weights, whose features are put in `cache`.

    No trial is stopped early, so that all have the same epochs.
    """
    changes = {
        "general_parameters.gpu": -1,
        "train_parameters.epochs": epochs,
        "freeze_scheduler.model_params": {BACKBONE_MODULE: [True]},
    }
    settings = {"budget": {"trials": trials}, "early_stopping": {"name": "none"}}
    study = load_study(Request("hamnosys", changes=changes, settings=settings))
    base, _ = with_data(override(study.base, {"feature_extractor.pretrained": False}))
    with caches_in(cache):
        ensure_features(base)
    return replace(study, base=base)


def run_measured_trials(study: Study, folder: Path) -> tuple[list[TrialRecord], Cost]:
    """Runs the study's trials in the Ray of this machine, one at a time: their records, the cost of all but the first.

    Raises:
        UserError: a trial failed.
    """
    from hearai.benchmarks.scale.cluster_scale import search_without_finals
    from hearai.search.cluster.resources import TrialResources
    from hearai.search.storage.layout import TRIALS
    from hearai.search.storage.study_sync import StudySync
    from hearai.search.tune.tuner import SearchContext

    lines: list[str] = []
    context = SearchContext(
        study.name,
        StudySync(folder),
        TrialResources(),
        slots=1,
        print_line=lines.append,
        hang_seconds=study.settings.hang_seconds,
        trial_function=measured_trial,
    )
    with ProcessesCpu() as cpu:
        clock = TrialClock(cpu)
        search_without_finals(study, context, clock)
    records = read_records(folder / TRIALS)
    if len(records) < study.settings.budget.trials:
        raise UserError(f"{len(records)} of {study.settings.budget.trials} trials ended well; {lines[-1:]}")
    return records, clock.later_trials()


class TrialClock(ray.tune.Callback):
    """Reads the clocks whenever a trial ends. One trial runs at a time, so that a trial lasts from end to end."""

    def __init__(self, cpu: ProcessesCpu):
        self._cpu = cpu
        self._ends: list[Cost] = []

    def __getstate__(self) -> dict:
        """No state: Tune pickles its callbacks."""
        return {}

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ends.append(Cost(time.perf_counter(), self._cpu.seconds()))

    def later_trials(self) -> Cost:
        """All trials but the first, with which Ray's processes start, together."""
        return self._ends[-1] - self._ends[0]


@contextmanager
def local_ray(print_line: Print) -> Iterator[None]:
    """A Ray on this machine, with a dashboard, for the duration of the block."""
    from hearai.search.cluster.connect import RayConnection

    connection = RayConnection(None)
    try:
        connection.join(print_line)
        yield
    finally:
        connection.close()
