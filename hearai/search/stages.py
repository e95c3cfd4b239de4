"""Stages of trials, carried out by one run of Ray Tune."""

import logging
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import ray.tune
from ray.tune.experiment import Trial
from ray.tune.trainable.function_trainable import wrap_function

from hearai.config import to_dict
from hearai.search.cluster import PerTrial
from hearai.search.deaths import death_of
from hearai.search.early_stopping import Stopper
from hearai.search.hang import HangWatch
from hearai.search.journal import Proposal
from hearai.search.live import LiveLines, Say
from hearai.search.mirror import Mirror
from hearai.search.owner import is_overtaken, ownership_watch
from hearai.search.ray_dashboard import dashboard_watch
from hearai.search.resume import clear_unusable
from hearai.search.scheduler import EpochScheduler
from hearai.search.searcher import JournalSearcher, Stage
from hearai.search.trial import DRIVER_CPU, run_trial, run_worker_group
from hearai.search.trial_folder import TRIALS, label_of, log_size
from hearai.training.checkpoint import BEST, LAST
from hearai.training.run_folders import run_folders
from hearai.training.splits import split_configs


@dataclass(frozen=True)
class Place:
    """Where and how the trials of a study run."""

    name: str
    mirror: Mirror
    """The study's folder; keeps it in an object store, if that is its storage."""
    per_trial: PerTrial
    slots: int
    say: Say
    hang_seconds: float
    """How long a trial may report nothing."""
    splits: int = 1
    """On how many divisions of the clips each trial is scored."""
    dashboard: str | None = None
    """Address of Ray's, which must answer while groups of workers run."""
    trial: Callable[[dict[str, Any]], None] = run_trial
    """What a trial with one worker does with its payload; a benchmark may time the search without training."""

    @property
    def folder(self) -> Path:
        """The study's, on the driver's disk."""
        return self.mirror.folder


def run_stages(
    stages: Iterator[Stage], place: Place, stopper: Stopper | None, callbacks: Sequence[ray.tune.Callback] = ()
) -> None:
    """Runs the trials of all stages. An interruption leaves running trials RUNNING in the journal.

    Raises:
        UserError: the journal or a trial's files cannot be written, groups have lost the dashboard, or another process
            has taken the study over; running trials are RUNNING in the journal.
    """

    def payload(proposal: Proposal, stage: Stage) -> dict[str, Any]:
        return _payload(proposal, stage, place)

    def died(trial: Trial) -> None:
        with searcher.in_trouble():
            place.mirror.fetch(trial.config["label"])  # its log says why
        searcher.on_trial_death(trial.trial_id, death_of(trial))

    searcher = JournalSearcher(stages, payload)
    scheduler = EpochScheduler(stopper, overdue=searcher.cuts, died=died)
    with (
        tempfile.TemporaryDirectory(prefix="hearai-tune-") as scratch,
        _quiet_tune(place.folder / "tune.log"),
        _interruptible(searcher),
        ownership_watch(place.mirror.check_owner, searcher.give_up),
        dashboard_watch(place.dashboard, searcher.give_up) if place.dashboard else nullcontext(),
    ):
        try:
            _tuner(searcher, scheduler, place, scratch, callbacks).fit()
        finally:
            if searcher.stage is not None and not is_overtaken(place.folder):
                searcher.stage.tick()


def _tuner(
    searcher: JournalSearcher,
    scheduler: EpochScheduler,
    place: Place,
    scratch: str,
    callbacks: Sequence[ray.tune.Callback],
) -> ray.tune.Tuner:
    def named(trial: Any) -> str:
        return f"{place.name}-{trial.config['label']}"

    return ray.tune.Tuner(
        _trainable(place),
        tune_config=ray.tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,  # the searcher says when it is enough
            max_concurrent_trials=place.slots,
            reuse_actors=place.per_trial.workers == 1,
            trial_name_creator=named,
            trial_dirname_creator=named,
        ),
        run_config=ray.tune.RunConfig(
            name=place.name,
            storage_path=scratch,
            verbose=0,
            callbacks=[
                LiveLines(place.say, searcher),
                HangWatch(searcher, place.hang_seconds),
                _Fetching(place.mirror, searcher),
                *callbacks,
                _Interruption(searcher),
            ],
            failure_config=ray.tune.FailureConfig(max_failures=0),  # a wrong config is a result, not a retry
        ),
    )


def _trainable(place: Place) -> type[ray.tune.Trainable]:
    """One worker: `fit` in the Tune actor. Several: a driver that waits for its Ray Train group."""
    per_trial = place.per_trial
    if per_trial.workers > 1:
        return ray.tune.with_resources(_named(run_worker_group), {"CPU": DRIVER_CPU})
    return ray.tune.with_resources(_named(place.trial), {"CPU": per_trial.cpus, "GPU": per_trial.gpus})


def _named(function: Callable) -> type[ray.tune.Trainable]:
    """A trial function as an actor whose name in the dashboard says what it is.

    Ray asks for it once, when the actor starts: one that is reused keeps the name of its first trial. (A fresh actor
    for each trial would have the right name, at 3 s instead of 0.1 s. A process's title Ray overwrites at each report.)
    """

    class Trial(wrap_function(function)):
        def __repr__(self) -> str:
            return self.config["title"]

    return Trial


def title_of(study: str, label: str, params: Mapping[str, Any]) -> str:
    """`hamnosys 0007 lr=0.0012 dropout_rate=0.1`: a trial with its first few parameters."""
    shown = [
        f"{path.rpartition('.')[2]}={f'{value:.3g}' if isinstance(value, float) else value}"
        for path, value in islice(params.items(), SHOWN_PARAMETERS)
    ]
    return " ".join([study, label, *shown])


SHOWN_PARAMETERS = 4


def _payload(proposal: Proposal, stage: Stage, place: Place) -> dict[str, Any]:
    """Plain YAML types: what `hearai.search.trial` describes."""
    label, per_trial = label_of(proposal.number, proposal.notes), place.per_trial
    folder, config = place.folder.absolute() / TRIALS / label, stage.config_of(proposal)
    place.mirror.copy_journal()  # a trial that is known nowhere but here would be another one after a crash
    place.mirror.fetch(label, checkpoints=True)
    for run, own in zip(run_folders(folder, place.splits), split_configs(config, place.splits), strict=True):
        if clear_unusable(run, own):
            place.mirror.drop(label, *((run / name).relative_to(folder).as_posix() for name in (LAST, BEST)))
    return {
        "study": place.name,
        "number": proposal.number,
        "kind": proposal.notes.get("kind", "search"),
        "label": label,
        "title": title_of(place.name, label, proposal.params),
        "folder": str(folder),
        "config": to_dict(config),
        "threads": per_trial.threads,
        "splits": place.splits,
        "workers": per_trial.workers,
        "cpus": per_trial.cpus,
        "gpus": per_trial.gpus,
        "hang_seconds": place.hang_seconds,
        "log_from": log_size(folder),
        **place.mirror.address,
    }


class _Fetching(ray.tune.Callback):
    """Brings what a trial has written in an object store to the driver's disk when it ends."""

    def __init__(self, mirror: Mirror, searcher: JournalSearcher):
        self._mirror, self._searcher = mirror, searcher

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Trial, **info: Any) -> None:
        with self._searcher.in_trouble():
            self._mirror.fetch(trial.config["label"])


class _Interruption(ray.tune.Callback):
    """Ends the search between two steps of Tune, where no file is half-written."""

    def __init__(self, searcher: JournalSearcher):
        self._searcher = searcher

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._searcher.trouble:
            raise self._searcher.trouble
        if self._searcher.closed:
            raise KeyboardInterrupt


@contextmanager
def _quiet_tune(path: Path) -> Iterator[None]:
    """Tune's own messages and tracebacks go to a file; people get one line a trial."""
    logger = logging.getLogger("ray.tune")
    handler = logging.FileHandler(path, delay=True)
    handler.handleError = lambda record: None  # a full disk is told by those whose files count
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)
        handler.close()


@contextmanager
def _interruptible(searcher: JournalSearcher) -> Iterator[None]:
    """Ctrl-C and SIGTERM close the journal to further reports; `_Interruption` then ends the search.

    The handler itself must not touch the journal: it may have been called in the middle of a write.
    """

    def interrupt(*_: Any) -> None:
        if searcher.closed:
            raise KeyboardInterrupt  # the second one does not wait
        searcher.closed = True

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
