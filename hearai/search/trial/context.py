"""Per-process context of a trial: folder, log, metric sinks, preemption notice."""

import gc
import os
import socket
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray
import torch

from hearai.config.config import Config, build_config, dataset_folders
from hearai.config.model_parts.code_folder import use_sent_code
from hearai.config.overrides import override
from hearai.data.annotations.fingerprint import require_same_dataset
from hearai.data.annotations.load import load_data
from hearai.errors import Superseded, UserError
from hearai.files import using_caches
from hearai.search.storage.layout import ATTEMPT, LOG, TRIALS
from hearai.search.storage.object_store import ObjectStore
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.log import trial_log
from hearai.search.trial.preemption import PreemptionNotice, watch_for_preemption
from hearai.search.trial.spec import TrialSpec
from hearai.search.trial.stack_dump import HangTimer, stack_dump
from hearai.search.trial.trial_metrics import TrialMetrics, trial_metrics
from hearai.training.outputs.layout import backbone_file


class Attempt:
    """One process's try at a trial, recorded in the trial's folder.

    A node that is cut off from the network or suspended is considered dead, and its trials resume on other nodes. When
    it comes back it must not overwrite their epochs with its own.
    """

    def __init__(self, study: StudyLocation, label: str):
        """Records this process as the one that writes in the trial's folder."""
        self._study, self._file = study, f"{TRIALS}/{label}/{ATTEMPT}"
        self._mark = f"process {os.getpid()} on {socket.gethostname()}, {uuid.uuid4().hex}"
        study.write(self._file, self._mark)

    def check(self) -> None:
        """Called before each write to the trial's folder.

        Raises:
            Superseded: a later attempt at the trial has started.
            UserError: the study's folder is gone.
        """
        require_study_folder(self._study)
        found = self._study.read(self._file)
        if found not in (None, self._mark):  # None: the file was deleted, which supersedes no one
            raise Superseded(f"considered dead; the trial has resumed in {found.partition(',')[0]}")


def require_study_folder(study: StudyLocation) -> None:
    """Checks that a shared study folder is still there: a new one would be a study without its journal.

    Raises:
        UserError: it was moved or deleted.
    """
    if study.store is None and not study.folder.is_dir():
        raise UserError(f"{study.folder}: is gone; it was moved or deleted during the search")


@dataclass(frozen=True)
class TrialFolder:
    """A trial's folder on this node: the shared one, or a local copy of its prefix in the object store."""

    path: Path
    config: Config
    """The trial's config, with paths that are valid on this node."""
    attempt: Attempt | None = None
    """None: a single run, or a worker whose files are not those of the trial."""
    store: ObjectStore | None = None
    """The trial's prefix; None = the folder is shared."""

    def ensure_current_attempt(self) -> None:
        """Called before each write.

        Raises:
            Superseded: a later attempt at the trial has started.
        """
        if self.attempt:
            self.attempt.check()

    def upload(self) -> None:
        """Sends changed files to the object store, if there is one.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
            Superseded: a later attempt at the trial has started.
        """
        if self.attempt and self.store:
            self.attempt.check()
            self.store.push(self.path, skip=(ATTEMPT,))


@contextmanager
def open_trial_folder(spec: TrialSpec, *, writes: bool = True, fetches: bool = True) -> Iterator[TrialFolder]:
    """The trial's folder as the last attempt left it.

    Args:
        writes: whether this worker's files are those of the trial.
        fetches: whether this worker downloads the files to this node; one worker on each node does.

    Raises:
        StoreLost: the store cannot be reached, or refuses.
        Superseded: a later attempt at the trial has started.
    """
    config, path = build_config(spec.config, f"trial {spec.number}"), Path(spec.folder)
    if spec.study is None:
        yield TrialFolder(path, config)
        return
    study = StudyLocation(Path(spec.home), spec.storage)
    if study.store is None:
        require_study_folder(study)
        path.mkdir(parents=True, exist_ok=True)
        yield TrialFolder(path, config, Attempt(study, spec.label) if writes else None)
        return
    prefix, path = study.store.below(TRIALS, spec.label), study.local() / TRIALS / spec.label
    attempt = Attempt(study, spec.label) if writes else None
    if fetches:
        prefix.pull(path, skip=(ATTEMPT,))
        study.fetch([backbone_file(fold) for fold in range(spec.folds)])
    folder = TrialFolder(path, localise(config, study), attempt, prefix)
    try:
        yield folder
    finally:
        folder.upload()


def localise(config: Config, study: StudyLocation) -> Config:
    """The config with the path that the study's pre-trained backbone has on this node."""
    checkpoint = config.feature_extractor.checkpoint
    if not checkpoint or Path(checkpoint).parent != study.folder:
        return config
    return override(config, {"feature_extractor.checkpoint": str(study.local() / Path(checkpoint).name)})


def assigned_gpu(config: Config) -> int:
    """Number of the GPU that Ray has assigned to this process, as the process sees it; -1 = none, or CPU requested."""
    return 0 if config.general_parameters.gpu >= 0 and ray.get_gpu_ids() else -1


def on_assigned_gpu(config: Config) -> Config:
    """The config, on the GPU that Ray has assigned to this process."""
    return override(config, {"general_parameters.gpu": assigned_gpu(config)})


def release_memory() -> None:
    """Releases what a run held, so that a reused actor does not grow.

    The first run of a process that ends well leaves hundreds of thousands of objects of imported modules, to go through
    which took 0.2 s of CPU time after each trial: later collections leave them out. (While an exception is handled, its
    traceback still holds the run.)
    """
    gc.collect()
    if not gc.get_freeze_count() and sys.exc_info()[0] is None:
        gc.freeze()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class TrialContext:
    """Context of one worker."""

    spec: TrialSpec
    folder: TrialFolder
    preemption: PreemptionNotice
    hang_timer: HangTimer
    metrics: TrialMetrics | None
    """Gauges for Prometheus; None: a single run, or a worker other than the first."""

    def on_report(self, metrics: Mapping[str, float], device: torch.device) -> None:
        """Called at each report, after the run has written its files; metrics: of the whole trial."""
        self.hang_timer.restart()
        self.folder.upload()
        if self.metrics:
            self.metrics.on_report(metrics, device)


def _no_barrier() -> None:
    """For a worker without peers."""


@contextmanager
def trial_context(
    spec: TrialSpec, *, rank: int = 0, first_on_node: bool = True, barrier: Callable[[], None] = _no_barrier
) -> Iterator[TrialContext]:
    """Sets up the context of one worker and tears it down.

    Args:
        rank: of this worker in its group.
        first_on_node: whether it is the first of its group on its node.
        barrier: waits for the other workers of the group, once the files are on this node.

    Raises:
        StoreLost: the store cannot be reached, or refuses.
        Superseded: a later attempt at the trial has started.
        DataError: the dataset is not the one that the search has read.
    """
    use_sent_code(spec.code)
    with ExitStack() as stack:
        folder = stack.enter_context(open_trial_folder(spec, writes=rank == 0, fetches=first_on_node))
        barrier()
        stack.enter_context(using_caches(dataset_folders(folder.config)))
        worker = f"worker {rank} of {spec.workers}" if spec.workers > 1 else ""
        stack.enter_context(trial_log(folder.path, worker))
        if spec.dataset is not None:
            require_same_dataset(spec.dataset, load_data(folder.config).fingerprints)
        # Ray Train's local mode has no cluster, hence no notices
        preemption = stack.enter_context(watch_for_preemption()) if ray.is_initialized() else PreemptionNotice()
        metrics = stack.enter_context(trial_metrics(spec.study if rank == 0 else None, spec.label))
        hang_timer = stack.enter_context(stack_dump(folder.path / LOG, spec.hang_seconds))
        yield TrialContext(spec, folder, preemption, hang_timer, metrics)
