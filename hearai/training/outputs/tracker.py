"""What the trackers of a run promise, and what they know of it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np


@dataclass(frozen=True)
class TrackedRun:
    """A run, as its trackers see it."""

    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    """As `to_dict` gives it."""
    study: str | None = None
    """The search that it is a trial of."""
    id: str = field(default_factory=lambda: uuid4().hex)
    """The same in all attempts at the run."""
    history: Sequence[Mapping[str, float]] = ()
    """The epochs of earlier attempts; nothing of them is to be there twice."""


class Tracker(Protocol):
    """Takes the metrics of one epoch after another."""

    def log(self, metrics: Mapping[str, float], epoch: int) -> None:
        """Records one epoch (1-based)."""

    def show(self, pictures: Mapping[str, np.ndarray], epoch: int) -> None:
        """Records {name: picture (H, W, 3) uint8} of a run that ends after `epoch`; those of earlier attempts go."""

    def close(self) -> None:
        """Writes out what is still held."""


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables for the time of the block; those that the user has set stay."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]
