"""The interface of experiment trackers, and what they know about a run."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from PIL import Image


@dataclass(frozen=True)
class TrackedRun:
    """A run, as its trackers see it."""

    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    """As `to_dict` gives it."""
    study: str | None = None
    """The study that it is a trial of."""
    id: str = field(default_factory=lambda: uuid4().hex)
    """The same in all attempts at the run."""
    history: Sequence[Mapping[str, float]] = ()
    """The metrics of earlier attempts' epochs, none of which may be recorded twice."""


class Tracker(Protocol):
    """Records the metrics of one epoch after another."""

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Records one epoch (1-based)."""

    def log_images(self, images: Mapping[str, Image.Image], epoch: int) -> None:
        """Records {name: image} of a run that ends after `epoch`; replaces earlier ones."""

    def close(self) -> None:
        """Writes everything that is still buffered."""


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Sets environment variables for the duration of the block, except those that the user has set."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]
