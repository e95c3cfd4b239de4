"""A search on a cluster as its own machine would show it: the output of its job, live where it consists of events."""

import sys
from typing import TYPE_CHECKING

from hearai.cli.progress import events
from hearai.cli.progress.reader import EventReader
from hearai.reporting.live.views import LIVE, default_view

if TYPE_CHECKING:
    from hearai.reporting.live.terminal_view import TerminalPanel


class FollowedSearch:
    """Prints the output of a job, given in blocks. From its first event on, a terminal shows the live view."""

    def __init__(self) -> None:
        self._reader, self._is_live = EventReader(self._show), default_view() == LIVE
        self._panel: TerminalPanel | None = None

    def __call__(self, text: str) -> None:
        self._reader(text)

    def close(self) -> None:
        """Removes the live view; what was printed stays."""
        self._reader.close()
        if self._panel:
            self._panel.close()

    def _show(self, event: events.Event, at: float | None) -> None:
        if self._is_live and not isinstance(event, events.Note) and self._panel is None:
            from rich.console import Console

            from hearai.reporting.live.terminal_view import TerminalPanel

            self._panel = TerminalPanel(Console(highlight=False), started=at, has_gpus=False)
        if self._panel:
            self._panel.show(event, at)
        elif isinstance(event, events.Note):
            sys.stdout.write(f"{event.text}\n")
            sys.stdout.flush()
