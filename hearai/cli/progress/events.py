"""The events of a search: small typed records, which a search emits and views show; as JSON lines they can be sent."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RUNNING, PAUSED, COMPLETE, STOPPED, FAILED = "running", "paused", "complete", "stopped", "failed"
STATES = (RUNNING, PAUSED, COMPLETE, STOPPED, FAILED)
"""States of a trial. Diverged ones count as stopped."""
DATA, RAY, PRETRAINING, FEATURES = "data", "Ray's start", "pre-training", "features"
SEARCH, FINALS, TEST, RETRAINING = "search", "finals", "test", "retraining"
PHASES = (DATA, RAY, PRETRAINING, FEATURES, SEARCH, FINALS, TEST, RETRAINING)
"""In their order."""


class TrialLine(str):
    """A printed line about a single trial; a view that shows the trials themselves leaves it out."""


@dataclass(frozen=True)
class Note:
    """A line for people."""

    text: str
    is_trial: bool = False
    """Whether it is about a single trial, and other events say the same."""


@dataclass(frozen=True)
class PhaseStarted:
    """A phase of the search has begun: one of `PHASES`."""

    phase: str
    total: int | None = None
    """How many runs it has, where that is known."""


@dataclass(frozen=True)
class PhaseProgress:
    """How far the present phase is."""

    phase: str
    share: float
    """In [0, 1]."""
    seconds_left: float | None = None


@dataclass(frozen=True)
class TrialEnded:
    """A trial, or a run of the finals, does not train any more."""

    label: str
    state: str
    """One of `STATES`, but not RUNNING."""
    epoch: int = 0
    """Its last one, from 1; 0 = none."""
    objective: float | None = None
    """Of its best epoch; None = none was finite."""
    seconds: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    """{dotted path: value}; empty in the finals."""
    reason: str = ""
    """Why it failed."""
    is_final: bool = False


@dataclass(frozen=True)
class StudyOpened:
    """The search of a study begins or continues."""

    study: str
    folder: str
    score: str
    """What the objective is called: `macro-F1`."""
    trials: int
    """Budget of trials."""
    epochs: int | None = None
    """Budget of trial-epochs."""
    seconds: float | None = None
    """Budget of wall time."""
    may_end_early: bool = False
    """Whether a target score or a plateau may end it."""
    used_seconds: float = 0.0
    """Wall time of earlier calls."""
    phases: tuple[str, ...] = ()
    """Those that are planned."""
    max_epochs: int = 1
    """Epochs of a complete trial."""
    final_runs: int = 0
    """How many runs the finals have."""
    base: Mapping[str, Any] = field(default_factory=dict)
    """{dotted path: value} of the searched parameters in the base config."""
    earlier: tuple[TrialEnded, ...] = ()
    """The trials and finals of earlier calls."""

    @staticmethod
    def from_fields(fields: Mapping[str, Any]) -> "StudyOpened":
        """From plain JSON types."""
        earlier = tuple(TrialEnded(**trial) for trial in fields.get("earlier", ()))
        return StudyOpened(**{**fields, "earlier": earlier, "phases": tuple(fields.get("phases", ()))})


@dataclass(frozen=True)
class SlotsKnown:
    """How many trials run at once."""

    slots: int
    resources: str
    """What each of them has: `1 CPU, 1 GPU`."""
    gpus: float = 0.0
    """GPUs of a trial."""


@dataclass(frozen=True)
class TrialStarted:
    """A trial, or a run of the finals, trains."""

    label: str
    params: Mapping[str, Any] = field(default_factory=dict)
    is_final: bool = False


@dataclass(frozen=True)
class TrialRequeued:
    """A running trial lost its node, or leaves it, and will start again."""

    label: str


@dataclass(frozen=True)
class EpochEnded:
    """An epoch of a running trial."""

    label: str
    epoch: int
    """From 1."""
    epochs: int
    objective: float | None
    """Of its best epoch so far."""


@dataclass(frozen=True)
class Interrupted:
    """Ctrl-C or a signal: what the search does about it."""

    text: str


Event = (
    Note
    | PhaseStarted
    | PhaseProgress
    | StudyOpened
    | SlotsKnown
    | TrialStarted
    | TrialRequeued
    | EpochEnded
    | TrialEnded
    | Interrupted
)
Show = Callable[[Event], None]
"""Shows an event to people; must be fast, and never raises."""
EVENTS: dict[str, Callable[..., Event]] = {
    "note": Note,
    "phase_started": PhaseStarted,
    "phase_progress": PhaseProgress,
    "study_opened": lambda **fields: StudyOpened.from_fields(fields),
    "slots_known": SlotsKnown,
    "trial_started": TrialStarted,
    "trial_requeued": TrialRequeued,
    "epoch_ended": EpochEnded,
    "trial_ended": TrialEnded,
    "interrupted": Interrupted,
}
"""{name: makes the event from its fields}."""
NAMES: dict[type, str] = {StudyOpened: "study_opened"} | {
    kind: name for name, kind in EVENTS.items() if isinstance(kind, type)
}


def ignore(event: Event) -> None:
    """Shows nothing."""


def to_json_line(event: Event, at: float) -> str:
    """One line of JSON, without its end. at: seconds since 1970."""
    fields = {"event": NAMES[type(event)], "at": round(at, 3), **dataclasses.asdict(event)}
    return json.dumps(_finite(fields), ensure_ascii=True, allow_nan=False, default=str)


def from_json_line(line: str) -> tuple[Event, float] | None:
    """(the event, when it happened in seconds since 1970); None = the line is something else."""
    if not line.startswith('{"event": '):
        return None
    try:
        fields = json.loads(line)
        name, at = fields.pop("event"), float(fields.pop("at"))
        return EVENTS[name](**fields), at
    except (ValueError, KeyError, TypeError):
        return None


def _finite(value: Any) -> Any:
    """NaN and infinity, which JSON does not have, as None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
