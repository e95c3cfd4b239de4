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

from hearai.cli import Print
from hearai.config.config import to_dict
from hearai.search.cluster.dashboard import watch_dashboard
from hearai.search.cluster.resources import TrialResources
from hearai.search.early_stopping import Stopper
from hearai.search.stage import Stage
from hearai.search.storage.layout import TRIALS, label_of
from hearai.search.storage.lock import is_overtaken, watch_ownership
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import Proposal
from hearai.search.trial.log import log_size
from hearai.search.trial.one_worker import run_trial
from hearai.search.trial.resume import clear_unusable
from hearai.search.trial.worker_group import DRIVER_CPU, run_worker_group
from hearai.search.tune.callbacks import HangWatch, LiveLines, _Fetching, _Interruption
from hearai.search.tune.failures import classify_failure
from hearai.search.tune.scheduler import EpochScheduler
from hearai.search.tune.searcher import JournalSearcher
from hearai.training.outputs.layout import BEST, LAST, run_folders
from hearai.training.setup.cross_validation import split_configs


@dataclass(frozen=True)
class SearchContext:
    """Where and how the trials of a study run."""

    name: str
    sync: StudySync
    """The study's folder; keeps it in an object store, if that is its storage."""
    resources: TrialResources
    slots: int
    print_line: Print
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
        return self.sync.folder


def run_stages(
    stages: Iterator[Stage],
    context: SearchContext,
    stopper: Stopper | None,
    callbacks: Sequence[ray.tune.Callback] = (),
) -> None:
    """Runs the trials of all stages. An interruption leaves running trials RUNNING in the journal.

    Raises:
        UserError: the journal or a trial's files cannot be written, groups have lost the dashboard, or another process
            has taken the study over; running trials are RUNNING in the journal.
    """

    def payload(proposal: Proposal, stage: Stage) -> dict[str, Any]:
        return _payload(proposal, stage, context)

    def on_failure(trial: Trial) -> None:
        with searcher.abort_on_error():
            context.sync.fetch(trial.config["label"])  # its log says why
        searcher.on_trial_failure(trial.trial_id, classify_failure(trial))

    searcher = JournalSearcher(stages, payload)
    scheduler = EpochScheduler(stopper, over_budget=searcher.over_budget, on_failure=on_failure)
    with (
        tempfile.TemporaryDirectory(prefix="hearai-tune-") as scratch,
        _quiet_tune(context.folder / "tune.log"),
        _interruptible(searcher),
        watch_ownership(context.sync.check_owner, searcher.abort),
        watch_dashboard(context.dashboard, searcher.abort) if context.dashboard else nullcontext(),
    ):
        try:
            _tuner(searcher, scheduler, context, scratch, callbacks).fit()
        finally:
            if searcher.stage is not None and not is_overtaken(context.folder):
                searcher.stage.tick()


def _tuner(
    searcher: JournalSearcher,
    scheduler: EpochScheduler,
    context: SearchContext,
    scratch: str,
    callbacks: Sequence[ray.tune.Callback],
) -> ray.tune.Tuner:
    def named(trial: Any) -> str:
        return f"{context.name}-{trial.config['label']}"

    return ray.tune.Tuner(
        _trainable(context),
        tune_config=ray.tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,  # the searcher says when it is enough
            max_concurrent_trials=context.slots,
            reuse_actors=context.resources.workers == 1,
            trial_name_creator=named,
            trial_dirname_creator=named,
        ),
        run_config=ray.tune.RunConfig(
            name=context.name,
            storage_path=scratch,
            verbose=0,
            callbacks=[
                LiveLines(context.print_line, searcher),
                HangWatch(searcher, context.hang_seconds),
                _Fetching(context.sync, searcher),
                *callbacks,
                _Interruption(searcher),
            ],
            failure_config=ray.tune.FailureConfig(max_failures=0),  # a wrong config is a result, not a retry
        ),
    )


def _trainable(context: SearchContext) -> type[ray.tune.Trainable]:
    """One worker: `fit` in the Tune actor. Several: a driver that waits for its Ray Train group."""
    resources = context.resources
    if resources.workers > 1:
        return ray.tune.with_resources(_named(run_worker_group), {"CPU": DRIVER_CPU})
    return ray.tune.with_resources(_named(context.trial), {"CPU": resources.cpus, "GPU": resources.gpus})


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


def _payload(proposal: Proposal, stage: Stage, context: SearchContext) -> dict[str, Any]:
    """Plain YAML types: what `hearai.search.trial.one_worker` describes."""
    label, resources = label_of(proposal.number, proposal.notes), context.resources
    folder, config = context.folder.absolute() / TRIALS / label, stage.config_of(proposal)
    context.sync.copy_journal()  # a trial that is known nowhere but here would be another one after a crash
    context.sync.fetch(label, checkpoints=True)
    for run, own in zip(run_folders(folder, context.splits), split_configs(config, context.splits), strict=True):
        if clear_unusable(run, own):
            context.sync.drop(label, *((run / name).relative_to(folder).as_posix() for name in (LAST, BEST)))
    return {
        "study": context.name,
        "number": proposal.number,
        "kind": proposal.notes.get("kind", "search"),
        "label": label,
        "title": title_of(context.name, label, proposal.params),
        "folder": str(folder),
        "config": to_dict(config),
        "threads": resources.threads,
        "splits": context.splits,
        "workers": resources.workers,
        "cpus": resources.cpus,
        "gpus": resources.gpus,
        "hang_seconds": context.hang_seconds,
        "log_from": log_size(folder),
        **context.sync.address,
    }


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
