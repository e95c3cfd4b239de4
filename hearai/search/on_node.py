"""A trial's folder on its node: shared with all others, or a mirror of its prefix in an object store."""

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearai.config import Config, build_config
from hearai.overrides import override
from hearai.search.mirror import StudyPlace
from hearai.search.trial_folder import TRIALS
from hearai.training.leaving import Superseded
from hearai.training.splits import backbone_file

ATTEMPT = "attempt"
"""The file in a trial's folder that says which process writes there."""


@dataclass(frozen=True)
class Place:
    """Where a trial runs."""

    folder: Path
    config: Config
    send: Callable[[], None]
    """Sends what has changed in the folder to the store, if there is one; raises as `check_in`."""
    check_in: Callable[[], None]
    """Raises Superseded where another attempt at the trial has begun since; to be called before it writes."""


@contextmanager
def trial_place(payload: Mapping[str, Any], *, writes: bool = True, fetches: bool = True) -> Iterator[Place]:
    """The trial's folder, as far as an earlier attempt got, and its config with paths that are right here.

    payload: see `hearai.search.trial`. writes: whether this worker's files are those of the trial.
    fetches: whether this worker brings the files here; one on each node does.

    Raises:
        StoreLost: the store cannot be reached, or refuses.
        Superseded: another attempt has begun since.
    """
    config = build_config(payload["config"], f"trial {payload['number']}")
    if payload["study"] is None:  # a run that is no trial
        yield Place(Path(payload["folder"]), config, _nothing, _nothing)
        return
    study = StudyPlace(Path(payload["home"]), payload["storage"])
    if study.store is None:
        Path(payload["folder"]).mkdir(parents=True, exist_ok=True)
    check_in = _begin(study, payload["label"]) if writes else _nothing
    if study.store is None:
        yield Place(Path(payload["folder"]), config, _nothing, check_in)
        return
    own, folder = study.store.below(TRIALS, payload["label"]), study.local() / TRIALS / payload["label"]
    if fetches:
        own.pull(folder, skip=(ATTEMPT,))
        study.fetch([backbone_file(fold) for fold in range(payload["splits"])])

    def send() -> None:
        if writes:
            check_in()
            own.push(folder, skip=(ATTEMPT,))

    try:
        yield Place(folder, at_home(config, study), send, check_in)
    finally:
        send()


def _begin(study: StudyPlace, label: str) -> Callable[[], None]:
    """Says in the trial's folder that this attempt is the one that writes there; the check whether it still is.

    A machine that was cut off, or stood still, is taken for dead and its trials go on elsewhere. When it comes back,
    it would write its old epochs over the new ones.
    """
    name = f"{TRIALS}/{label}/{ATTEMPT}"
    mark = f"process {os.getpid()} on {socket.gethostname()}, {uuid.uuid4().hex}"
    study.write(name, mark)

    def check_in() -> None:
        found = study.read(name)
        if found not in (None, mark):  # None: somebody tidied up
            raise Superseded(f"the trial was taken for dead, and goes on in {found.partition(',')[0]}")

    return check_in


def _nothing() -> None:
    """With a shared folder nothing is to be sent, and of a group only the first worker writes."""


def at_home(config: Config, study: StudyPlace) -> Config:
    """The config with the study's backbone at its place on this node."""
    checkpoint = config.feature_extractor.checkpoint
    if not checkpoint or Path(checkpoint).parent != study.folder:
        return config
    return override(config, {"feature_extractor.checkpoint": str(study.local() / Path(checkpoint).name)})
