"""Runs the trials of all stages of a search in one run of Ray Tune."""

import logging
import signal
import tempfile
import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import ray.tune
from ray.tune.trainable.function_trainable import wrap_function

from hearai.cli import Print
from hearai.cli.progress import events
from hearai.cli.progress.names import short_names
from hearai.config.config import Config, to_dict
from hearai.config.model_parts.code_folder import code_to_send
from hearai.search.cluster.dashboard import watch_dashboard
from hearai.search.cluster.resources import TrialResources
from hearai.search.stage import Stage
from hearai.search.storage.attributes import KIND, SEARCH_KIND
from hearai.search.storage.layout import TRIALS, TUNE_LOG, label_of
from hearai.search.storage.lock import is_taken_over, watch_ownership
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import Proposal
from hearai.search.trial.log import log_size
from hearai.search.trial.one_worker import run_trial
from hearai.search.trial.resume import clear_unusable
from hearai.search.trial.spec import HasConfig, TrialSpec
from hearai.search.trial.worker_group import DRIVER_CPU, run_worker_group
from hearai.search.tune.callbacks import FailureReporter, HangDetector, Interruption, LogFetcher, ProgressLines
from hearai.search.tune.live_trials import LiveTrials
from hearai.search.tune.scheduler import EpochScheduler
from hearai.search.tune.searcher import JournalSearcher
from hearai.threads import is_main_thread
from hearai.training.outputs.layout import BEST, LAST, run_folders
from hearai.training.setup.cross_validation import fold_configs

INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the end of a job, the end of the terminal."""
INTERRUPTION = "interrupted: the running trials end now and continue next time; once more = leave without waiting"
"""Said at the first signal; Tune's next step, a moment later, acts on it."""
TITLE_PARAMETERS = 4
"""How many parameters the title of a trial shows."""


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
    """Seconds without a report after which a trial counts as hung."""
    folds: int = 1
    """Number of divisions of the clips on which each trial is scored."""
    may_pause: bool = False
    """Whether the search pauses trials and resumes them."""
    dataset_of: Callable[[Config], Mapping[str, str] | None] = lambda _: None
    """Fingerprints of the dataset that a trial must find, see `TrialSpec.dataset`."""
    dashboard: str | None = None
    """Address of Ray's dashboard, which must answer while worker groups run; None = not needed."""
    show: events.Show = events.ignore
    """Is given the events of the search."""
    trial_function: Callable[[dict[str, Any]], None] = run_trial
    """Runs a trial with one worker; a benchmark may time the search without training."""

    @property
    def folder(self) -> Path:
        """The study's, on the driver's disk."""
        return self.sync.folder

    def name_of(self, trial: HasConfig) -> str:
        """Tune's name of a trial."""
        return f"{self.name}-{TrialSpec.of(trial).label}"

    def prepare_trial(self, proposal: Proposal, stage: Stage) -> TrialSpec:
        """Copies the journal to the storage and prepares the trial's folder; what the trial's process must know.

        Raises:
            ConfigError: its config is invalid.
            UserError: another process has taken the study over.
            StoreLost: the store cannot be reached, or refuses.
        """
        label, resources = label_of(proposal.number, proposal.user_attrs), self.resources
        folder, config = self.folder.absolute() / TRIALS / label, stage.config_of(proposal)
        self.sync.copy_journal()  # or a crash of this machine could give the trial's number to another one
        self.sync.fetch_trial(label, checkpoints=True)
        self._clear_unusable(folder, config)
        return TrialSpec(
            number=proposal.number,
            folder=str(folder),
            config=to_dict(config),
            kind=proposal.user_attrs.get(KIND, SEARCH_KIND),
            study=self.name,
            label=label,
            title=title_of(self.name, label, proposal.params),
            threads=resources.threads,
            folds=self.folds,
            workers=resources.workers,
            cpus=resources.cpus,
            gpus=resources.gpus,
            hang_seconds=self.hang_seconds,
            may_pause=self.may_pause,
            reported=unbroken_epochs(stage.store[proposal.number].intermediate_values),
            log_start=log_size(folder),
            home=str(self.sync.study.folder),
            storage=self.sync.storage,
            dataset=self.dataset_of(config),
            code=code_to_send(),
        )

    def _clear_unusable(self, folder: Path, config: Config) -> None:
        """Removes checkpoints from which the trial cannot resume, here and in the object store."""
        for run, fold in zip(run_folders(folder, self.folds), fold_configs(config, self.folds), strict=True):
            if clear_unusable(run, fold):
                self.sync.remove(folder.name, *((run / name).relative_to(folder).as_posix() for name in (LAST, BEST)))


def unbroken_epochs(values: Container[int]) -> int:
    """How many epochs from the first one on are known, without a gap."""
    return next(epoch for epoch in count() if epoch + 1 not in values)


def run_stages(
    stages: Iterator[Stage],
    context: SearchContext,
    callbacks: Sequence[ray.tune.Callback] = (),
    check_inputs: Callable[[str], None] = lambda _: None,
) -> None:
    """Runs the trials of all stages. An interruption leaves running trials RUNNING in the journal.

    check_inputs: raises a UserError if the files that every trial reads are gone or have changed; called with the
        reason when a trial has failed.

    Raises:
        UserError: `check_inputs` does, the journal or a trial's files cannot be written or are gone, the dashboard no
            longer answers while worker groups run, or another process has taken the study over; running trials are
            RUNNING in the journal.
    """
    searcher = JournalSearcher(stages, context.prepare_trial, check_inputs)
    with (
        tempfile.TemporaryDirectory(prefix="hearai-tune-") as scratch,
        _quiet_tune(context.folder / TUNE_LOG),
        _interruptible(searcher, context),
        watch_ownership(context.sync.check_owner, searcher.abort),
        watch_dashboard(context.dashboard, searcher.abort) if context.dashboard else nullcontext(),
    ):
        try:
            _tuner(searcher, context, scratch, callbacks).fit()
        finally:
            if searcher.stage is not None and not is_taken_over(context.folder):
                searcher.stage.tick()


def _tuner(
    searcher: JournalSearcher,
    context: SearchContext,
    scratch: str,
    callbacks: Sequence[ray.tune.Callback],
) -> ray.tune.Tuner:
    logs = LogFetcher(context.sync, searcher)
    failures = FailureReporter(logs, searcher)
    return ray.tune.Tuner(
        _trainable(context),
        tune_config=ray.tune.TuneConfig(
            search_alg=searcher,
            scheduler=EpochScheduler(searcher, failures.on_failure),
            num_samples=-1,  # the searcher decides when to finish
            max_concurrent_trials=context.slots,
            reuse_actors=context.resources.workers == 1,
            trial_name_creator=context.name_of,
            trial_dirname_creator=context.name_of,
        ),
        run_config=ray.tune.RunConfig(
            name=context.name,
            storage_path=scratch,
            verbose=0,
            callbacks=[
                ProgressLines(context.print_line, searcher, str(context.resources)),
                LiveTrials(context.show, searcher),
                HangDetector(searcher, context.hang_seconds),
                logs,
                *callbacks,
                Interruption(searcher),
            ],
            failure_config=ray.tune.FailureConfig(max_failures=0),  # an invalid config is a result, not a retry
        ),
    )


def _trainable(context: SearchContext) -> type[ray.tune.Trainable]:
    """One worker: `fit` in the Tune actor. Several: a driver that waits for its Ray Train group."""
    resources = context.resources
    if resources.workers > 1:
        trainable = ray.tune.with_resources(_titled(run_worker_group), {"CPU": DRIVER_CPU})
    else:
        needed = {"CPU": resources.cpus, "GPU": resources.gpus}
        trainable = ray.tune.with_resources(_titled(context.trial_function), needed)
    trainable.__qualname__ = trainable.__name__  # the dashboard's column Class; Ray's own is its wrapper's
    return trainable


def _titled(function: Callable[[dict[str, Any]], None]) -> type[ray.tune.Trainable]:
    """A trial function as an actor that Ray's dashboard shows by the title of its trial.

    Ray asks for the title once, when the actor starts: a reused actor keeps the title of its first trial. (A fresh
    actor for each trial would have the right one, at 3 s instead of 0.1 s. Ray overwrites a process's title at each
    report.)
    """
    base: Any = wrap_function(function)

    class Trial(base):
        def __repr__(self) -> str:
            return TrialSpec.from_dict(self.config).title

    return Trial


def title_of(study: str, label: str, params: Mapping[str, Any]) -> str:
    """`hamnosys 0007 lr=0.0012 dropout_rate=0.1`: a trial with its first few parameters."""
    names = short_names(params)
    shown = [
        f"{names[path]}={f'{value:.3g}' if isinstance(value, float) else value}"
        for path, value in islice(params.items(), TITLE_PARAMETERS)
    ]
    return " ".join([study, label, *shown])


class _TuneLog(logging.FileHandler):
    """The file of Tune's own messages. It ignores a full disk or a lost folder, reported where files matter."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # it is opened with its first record
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        pass


@contextmanager
def _quiet_tune(path: Path) -> Iterator[None]:
    """Tune's own messages and tracebacks go to a file; people see one line per trial."""
    logger = logging.getLogger("ray.tune")
    handler = _TuneLog(path, delay=True)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)
        handler.close()


def _announce_interruption(context: SearchContext) -> None:
    context.show(events.Interrupted(INTERRUPTION))
    context.print_line(INTERRUPTION)


@contextmanager
def _interruptible(searcher: JournalSearcher, context: SearchContext) -> Iterator[None]:
    """Ctrl-C, SIGTERM and the end of the terminal interrupt the search instead of this process, and that is said.

    In another thread than the main one, which alone may set handlers, they have their usual effect.
    """

    def interrupt(*_: object) -> None:
        if not searcher.closed:  # in a thread: the signal may have come in the middle of a line
            threading.Thread(target=_announce_interruption, args=(context,)).start()
        searcher.interrupt()

    ignored = [number for number in INTERRUPTING if signal.getsignal(number) == signal.SIG_IGN]  # SIGHUP under nohup
    numbers = [number for number in INTERRUPTING if number not in ignored] if is_main_thread() else []
    handlers = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
