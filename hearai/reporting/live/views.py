"""The views of a search by name, and those that print lines: plain ones, only results, or events as JSON."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from hearai.cli import log_to_stderr, print_text
from hearai.cli.progress import events
from hearai.cli.progress.work import watching

LIVE, PLAIN, QUIET, JSON_LINES = "live", "plain", "quiet", "json-lines"


class View(Protocol):
    """Shows a search. Its methods may be called from any thread; they are fast and never raise."""

    def print_line(self, text: str) -> None:
        """A line for people."""

    def show(self, event: events.Event) -> None:
        """What has happened."""

    def print_result(self, text: str) -> None:
        """The result of the search, after its end."""

    def close(self) -> None:
        """The search has ended."""


class PlainView:
    """The lines of the search, as in a pipe."""

    def print_line(self, text: str) -> None:
        print_text(text)

    def show(self, event: events.Event) -> None:
        """Nothing: the lines say the same."""

    def print_result(self, text: str) -> None:
        print_text(text)

    def close(self) -> None:
        """Nothing to close."""


class QuietView(PlainView):
    """Only the result, warnings and errors; output.log in the study folder has all lines."""

    def __init__(self) -> None:
        logging.getLogger().addFilter(_is_warning)
        for handler in logging.getLogger().handlers:
            handler.addFilter(_is_warning)

    def print_line(self, text: str) -> None:
        """Nothing: they are in output.log."""

    def close(self) -> None:
        for handler in logging.getLogger().handlers:
            handler.removeFilter(_is_warning)


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


class JsonView:
    """Every event as a line of JSON on stdout, nothing else; log lines go to stderr."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.time):
        self._stream, self._clock = stream or sys.stdout, clock
        log_to_stderr()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles what its callbacks refer to, and a stream cannot be pickled."""
        return {}

    def print_line(self, text: str) -> None:
        self.show(events.Note(str(text), is_trial=isinstance(text, events.TrialLine)))

    def show(self, event: events.Event) -> None:
        self._stream.write(events.to_json_line(event, self._clock()) + "\n")
        self._stream.flush()

    def print_result(self, text: str) -> None:
        self.print_line(text)

    def close(self) -> None:
        """Nothing to close."""


def _live_view() -> View:
    from hearai.reporting.live.terminal_view import LiveView  # imports rich

    return LiveView()


VIEWS: dict[str, Callable[[], View]] = {
    LIVE: _live_view,
    PLAIN: PlainView,
    QUIET: QuietView,
    JSON_LINES: JsonView,
}
"""{name: makes the view}."""


def default_view() -> str:
    """`live` on a terminal that can move its cursor, `plain` elsewhere."""
    can_move = os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    return LIVE if can_move and sys.stdout.isatty() and sys.stderr.isatty() else PLAIN


@contextmanager
def open_view(name: str | None) -> Iterator[View]:
    """A view for the duration of a with block. name: a key of `VIEWS`; None = `default_view()`."""
    view = VIEWS[name or default_view()]()
    try:
        with watching(view.show):
            yield view
    finally:
        view.close()
