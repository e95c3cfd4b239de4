"""The snapshot of a search: what is happening at one moment, as plain values for any view."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WAITING, ACTIVE, DONE = "waiting", "active", "done"
"""States of a phase."""


@dataclass(frozen=True)
class Phase:
    """A phase of the search, with its progress."""

    name: str
    state: str = WAITING
    share: float | None = None
    """How much of it is done, in [0, 1]; None = unknown."""
    seconds: float = 0.0
    """How long it has taken so far."""
    seconds_left: float | None = None
    """None = unknown."""


@dataclass(frozen=True)
class Running:
    """A trial that trains."""

    label: str
    epoch: int
    epochs: int | None
    objective: float | None
    """Of its best epoch so far."""
    seconds: float
    """Since it was started last."""
    params: Mapping[str, Any]
    is_final: bool


@dataclass(frozen=True)
class Ended:
    """A trial that has ended or is paused."""

    label: str
    state: str
    epoch: int
    objective: float | None
    seconds: float | None
    reason: str


@dataclass(frozen=True)
class Budget:
    """How much of one limit of the search is used."""

    unit: str
    """`trials`, `epochs` or `seconds`."""
    used: float
    limit: float


@dataclass(frozen=True)
class Snapshot:
    """A search at one moment."""

    study: str
    folder: str
    score: str
    """What the objective is called."""
    phases: tuple[Phase, ...]
    counts: Mapping[str, int]
    """{state: trials of the search}, see `events.STATES`."""
    finals_done: int
    finals_total: int
    budgets: tuple[Budget, ...]
    search_seconds_left: float | None
    """Of the search without the finals; None = unknown yet."""
    finals_seconds_left: float | None
    pace_trials: int
    """How many ended trials the time left is computed from."""
    may_end_early: bool
    best_so_far: tuple[float, ...]
    """The best objective after each ended trial."""
    best: str | None
    """Label of the best trial."""
    differences: tuple[tuple[str, Any, Any], ...]
    """(parameter, value in the base config, value of the best trial) where they differ."""
    running: tuple[Running, ...]
    latest: tuple[Ended, ...]
    """Trials that ended last, the last one first."""
    slots: int
    resources: str
    gpus: float
    """GPUs of a trial."""
    promising: tuple[str, ...]
    """What the best trials have in common, as text."""
    note: str
    """The last line of the present phase; empty = none."""
    interrupted: str
    """What the search does about an interruption; empty = there was none."""
    seconds: float
    """Since the first event."""

    @property
    def busy(self) -> int:
        """Slots in use."""
        return min(len(self.running), self.slots)

    @property
    def best_objective(self) -> float | None:
        """Of the best trial."""
        return self.best_so_far[-1] if self.best_so_far else None
