"""A trial's folder on its node: shared with all others, or a mirror of its prefix in an object store."""

import gc
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.tune
import torch

from hearai.config.config import Config, build_config
from hearai.config.overrides import override
from hearai.errors import Superseded
from hearai.search.storage.layout import LOG, TRIALS
from hearai.search.storage.study_sync import StudyLocation
from hearai.search.trial.log import trial_log
from hearai.search.trial.preemption import Notice, watch_for_preemption
from hearai.search.trial.stack_dump import stack_dump
from hearai.search.trial.trial_metrics import Told, trial_metrics
from hearai.training.outputs.layout import backbone_file

ATTEMPT = "attempt"
"""The file in a trial's folder that says which process writes there."""


@dataclass(frozen=True)
class TrialFolder:
    """Where a trial runs."""

    folder: Path
    config: Config
    send: Callable[[], None]
    """Sends what has changed in the folder to the store, if there is one; raises as `ensure_current_attempt`."""
    ensure_current_attempt: Callable[[], None]
    """Raises Superseded where another attempt at the trial has begun since; to be called before it writes."""


@contextmanager
def open_trial_folder(
    payload: Mapping[str, Any], *, writes: bool = True, fetches: bool = True
) -> Iterator[TrialFolder]:
    """The trial's folder, as far as an earlier attempt got, and its config with paths that are right here.

    payload: see `hearai.search.trial.one_worker`. writes: whether this worker's files are those of the trial.
    fetches: whether this worker brings the files here; one on each node does.

    Raises:
        StoreLost: the store cannot be reached, or refuses.
        Superseded: another attempt has begun since.
    """
    config = build_config(payload["config"], f"trial {payload['number']}")
    if payload["study"] is None:  # a run that is no trial
        yield TrialFolder(Path(payload["folder"]), config, _nothing, _nothing)
        return
    study = StudyLocation(Path(payload["home"]), payload["storage"])
    if study.store is None:
        Path(payload["folder"]).mkdir(parents=True, exist_ok=True)
    ensure_current_attempt = _begin(study, payload["label"]) if writes else _nothing
    if study.store is None:
        yield TrialFolder(Path(payload["folder"]), config, _nothing, ensure_current_attempt)
        return
    own, folder = study.store.below(TRIALS, payload["label"]), study.local() / TRIALS / payload["label"]
    if fetches:
        own.pull(folder, skip=(ATTEMPT,))
        study.fetch([backbone_file(fold) for fold in range(payload["splits"])])

    def send() -> None:
        if writes:
            ensure_current_attempt()
            own.push(folder, skip=(ATTEMPT,))

    try:
        yield TrialFolder(folder, localise(config, study), send, ensure_current_attempt)
    finally:
        send()


def _begin(study: StudyLocation, label: str) -> Callable[[], None]:
    """Says in the trial's folder that this attempt is the one that writes there; the check whether it still is.

    A machine that was cut off, or stood still, is taken for dead and its trials go on elsewhere. When it comes back,
    it would write its old epochs over the new ones.
    """
    name = f"{TRIALS}/{label}/{ATTEMPT}"
    mark = f"process {os.getpid()} on {socket.gethostname()}, {uuid.uuid4().hex}"
    study.write(name, mark)

    def ensure_current_attempt() -> None:
        found = study.read(name)
        if found not in (None, mark):  # None: somebody tidied up
            raise Superseded(f"the trial was taken for dead, and goes on in {found.partition(',')[0]}")

    return ensure_current_attempt


def _nothing() -> None:
    """With a shared folder nothing is to be sent, and of a group only the first worker writes."""


def localise(config: Config, study: StudyLocation) -> Config:
    """The config with the study's backbone at its place on this node."""
    checkpoint = config.feature_extractor.checkpoint
    if not checkpoint or Path(checkpoint).parent != study.folder:
        return config
    return override(config, {"feature_extractor.checkpoint": str(study.local() / Path(checkpoint).name)})


def assigned_gpu(config: Config) -> int:
    """The number, for this process, of the GPU that Ray has given it; -1 = none, or none is wanted."""
    return 0 if config.general_parameters.gpu >= 0 and ray.get_gpu_ids() else -1


def release_memory() -> None:
    """Releases what a run held, so that a reused actor does not grow."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass(frozen=True)
class TrialContext:
    """The surroundings of one worker."""

    trial_folder: TrialFolder
    study: str | None
    notice: Notice
    """Whether this node is being taken away."""
    alive: Callable[[], None]
    gauges: Told

    def on_report(self, metrics: Mapping[str, float], device: torch.device) -> None:
        """To be called at each report, when the run's files are written; metrics: of the whole trial."""
        self.alive()
        self.trial_folder.send()
        self.gauges(metrics, device)


@contextmanager
def trial_context(
    payload: Mapping[str, Any], *, rank: int = 0, first_here: bool = True, wait: Callable[[], object] = lambda: None
) -> Iterator[TrialContext]:
    """payload: see `hearai.search.trial.one_worker`.

    first_here: whether this is the first of its worker group on its node.

    wait: for the other workers of the group, once the files are here.

    Raises:
        StoreLost: the store cannot be reached, or refuses.
    """
    with ExitStack() as stack:
        trial_folder = stack.enter_context(open_trial_folder(payload, writes=rank == 0, fetches=first_here))
        wait()
        workers = payload.get("workers", 1)
        stack.enter_context(trial_log(trial_folder.folder, f"worker {rank} of {workers}" if workers > 1 else ""))
        # in Ray Train's local mode there is no cluster, and no notice comes
        notice = stack.enter_context(watch_for_preemption()) if ray.is_initialized() else Notice()
        gauges = stack.enter_context(trial_metrics(payload["study"] if rank == 0 else None, payload.get("label", "")))
        alive = stack.enter_context(stack_dump(trial_folder.folder / LOG, payload["hang_seconds"]))
        yield TrialContext(trial_folder, payload["study"], notice, alive, gauges)
