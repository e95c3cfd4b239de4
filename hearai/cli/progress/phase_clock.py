"""Measures how long each phase of a search lasts, from the events that a view is given."""

import time
from collections.abc import Callable, Mapping

from hearai.cli.progress.events import Event, PhaseStarted, Show


class PhaseClock:
    """Is given the events, measures, and passes them to another receiver. One phase begins when the one before ends."""

    def __init__(self, show: Show, now: Callable[[], float] = time.monotonic):
        self._show, self._now = show, now
        self._seconds: dict[str, float] = {}
        self._phase: str | None = None
        self._since = 0.0

    def __call__(self, event: Event) -> None:
        """Receives an event."""
        if isinstance(event, PhaseStarted):
            self._stop()
            self._phase = event.phase
        self._show(event)

    def seconds(self) -> Mapping[str, float]:
        """{phase: seconds} until now, those that have begun."""
        self._stop()
        return dict(self._seconds)

    def _stop(self) -> None:
        """Adds the time since the phase began, or since this was called last."""
        now = self._now()
        if self._phase is not None:
            self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._since = now
