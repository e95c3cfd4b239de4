"""A trial's folder on its node: shared with all others, or a mirror of its prefix in an object store."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearai.config import Config, build_config
from hearai.overrides import override
from hearai.search.mirror import StudyPlace
from hearai.search.trial_folder import TRIALS
from hearai.training.splits import backbone_file


@dataclass(frozen=True)
class Place:
    """Where a trial runs."""

    folder: Path
    config: Config
    send: Callable[[], None]
    """Sends what has changed in the folder to the store, if there is one."""


@contextmanager
def trial_place(payload: Mapping[str, Any], *, writes: bool = True, fetches: bool = True) -> Iterator[Place]:
    """The trial's folder, as far as an earlier attempt got, and its config with paths that are right here.

    payload: see `hearai.search.trial`. writes: whether this worker's files are those of the trial.
    fetches: whether this worker brings the files here; one on each node does.

    Raises:
        StoreLost: the store cannot be reached, or refuses.
    """
    config = build_config(payload["config"], f"trial {payload['number']}")
    if payload.get("storage") is None:
        yield Place(Path(payload["folder"]), config, lambda: None)
        return
    study = StudyPlace(Path(payload["home"]), payload["storage"])
    own, folder = study.store.below(TRIALS, payload["label"]), study.local() / TRIALS / payload["label"]
    if fetches:
        own.pull(folder)
        study.fetch([backbone_file(fold) for fold in range(payload["splits"])])

    def send() -> None:
        if writes:
            own.push(folder)

    try:
        yield Place(folder, at_home(config, study), send)
    finally:
        send()


def at_home(config: Config, study: StudyPlace) -> Config:
    """The config with the study's backbone at its place on this node."""
    checkpoint = config.feature_extractor.checkpoint
    if not checkpoint or Path(checkpoint).parent != study.folder:
        return config
    return override(config, {"feature_extractor.checkpoint": str(study.local() / Path(checkpoint).name)})
