"""The phases of a search: when each began and ended, and how far it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hearai.cli.progress import events
from hearai.cli.progress.snapshot import ACTIVE, DONE, Phase

WITH_TRIALS = (events.SEARCH, events.FINALS)
"""Phases whose trials say how far they are."""
FIRST_ESTIMATE_S = 2.0
"""A phase that is younger has no time left yet."""
FIRST_WITH_TRIALS = events.PHASES.index(WITH_TRIALS[0])


@dataclass
class _Known:
    """A phase that has begun; times in seconds of the events' clock."""

    started: float
    ended: float | None = None
    share: float | None = None
    seconds_left: float | None = None
    left_at: float = 0.0
    """When `seconds_left` was known."""


class Phases:
    """Follows the phases; one begins when the one before ends."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._active = ""

    def start(self, name: str, at: float) -> None:
        """A phase begins; one that has begun already continues."""
        if self._active and self._active != name:
            self._known[self._active].ended = at
        if name not in self._known or self._known[name].ended is not None:
            self._known[name] = _Known(at)
        self._active = name

    def progress(self, event: events.PhaseProgress, at: float) -> None:
        """How far a phase is."""
        known = self._known.setdefault(event.phase, _Known(at))
        known.share, known.seconds_left, known.left_at = min(max(event.share, 0.0), 1.0), event.seconds_left, at

    def before_trials(self, planned: Sequence[str], at: float) -> Iterator[Phase]:
        """Those before the search."""
        return self._some(events.PHASES[:FIRST_WITH_TRIALS], planned, at)

    def after_trials(self, planned: Sequence[str], at: float) -> Iterator[Phase]:
        """Those after the finals."""
        return self._some(events.PHASES[FIRST_WITH_TRIALS + len(WITH_TRIALS) :], planned, at)

    def _some(self, names: Sequence[str], planned: Sequence[str], at: float) -> Iterator[Phase]:
        return (phase for name in names if (phase := self.one(name, planned, at)))

    def one(self, name: str, planned: Sequence[str], at: float) -> Phase | None:
        """A phase at a time; None if it is neither planned nor has begun."""
        known = self._known.get(name)
        if known is None:
            return Phase(name) if name in planned else None
        until = at if known.ended is None else known.ended
        state = ACTIVE if known.ended is None else DONE
        return Phase(name, state, known.share, until - known.started, _seconds_left(known, at))


def _seconds_left(known: _Known, at: float) -> float | None:
    """As was said, else from the share that is done."""
    if known.seconds_left is not None:
        return max(known.seconds_left - (at - known.left_at), 0.0)
    if not known.share or known.left_at - known.started < FIRST_ESTIMATE_S:
        return None
    whole = (known.left_at - known.started) / known.share
    return max(known.started + whole - at, 0.0)
