"""The live view of a search in a terminal: notes scroll by above a panel that is drawn again once a second."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hearai.cli import print_text
from hearai.cli.progress import events
from hearai.cli.progress.state import SearchState
from hearai.errors import printable
from hearai.reporting.live.gpu_use import gpu_use
from hearai.reporting.live.noise import Noise
from hearai.reporting.live.panel import ASCII, UNICODE, panel_lines
from hearai.threads import BackgroundThread

LIBRARY_WARNINGS = "warnings.log"
"""In the study folder: what libraries wrote to the terminal during a live view."""
REFRESH_S = 1.0
GPU_S = 5.0
"""Seconds between two looks at the GPUs."""


class LiveView:
    """Draws a search in the terminal. If that fails, lines are printed instead; the search never sees it."""

    def __init__(self) -> None:
        self._noise = Noise()
        self._terminal = TerminalPanel(Console(file=self._noise.terminal, force_terminal=True, highlight=False))
        self._log = _LogLines(self.print_line)
        self._is_closed = False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles what its callbacks refer to."""
        return {}

    def print_line(self, text: str) -> None:
        self._terminal.print_line(text)

    def show(self, event: events.Event) -> None:
        self._terminal.show(event)
        if isinstance(event, events.StudyOpened):
            self._noise.move_to(Path(event.folder) / LIBRARY_WARNINGS)

    def print_result(self, text: str) -> None:
        self.close()
        print_text(text)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._terminal.close()
        self._log.close()
        if path := self._noise.close():
            print_text(f"warnings of libraries: {path}")


class TerminalPanel:
    """A panel at the end of a terminal that shows the events of a search, and lines above it."""

    def __init__(self, console: Console, *, started: float | None = None, has_gpus: bool = True):
        """Args:
        started: when the search was started, in seconds since 1970; None = now.
        has_gpus: whether the GPUs of this machine may be those that the search uses.
        """
        self._console, self._has_gpus = console, has_gpus
        self._state, self._lock = SearchState(time.time() if started is None else started), threading.RLock()
        self._failure = ""
        """Why nothing is drawn any more; empty = it is."""
        self._gpus, self._gpus_at = "", 0.0
        self._wake = threading.Event()
        self._live = Live(
            get_renderable=self._draw,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        self._thread = BackgroundThread(self._refresh)

    def print_line(self, text: str) -> None:
        """Prints above the panel; a line of a trial only once the panel is not drawn any more."""
        self.show(events.Note(str(text), is_trial=isinstance(text, events.TrialLine)))

    def show(self, event: events.Event, at: float | None = None) -> None:
        """at: when it happened; None = now."""
        with self._lock:
            try:
                self._state.apply(event, time.time() if at is None else at)
            except Exception as error:  # noqa: BLE001  (a view must not end a search)
                self._give_up(error)
        if isinstance(event, events.Note) and (self._failure or not event.is_trial):
            self._write(event.text)
        if isinstance(event, events.Interrupted):
            self._wake.set()

    def close(self) -> None:
        """Removes the panel."""
        self._wake.set()
        self._thread.stop()
        try:
            self._live.stop()
        except OSError:  # the terminal is gone
            return

    def _write(self, text: str) -> None:
        try:
            self._console.print(Text(printable(text)), overflow="fold")
        except Exception as error:  # noqa: BLE001  (a view must not end a search; a terminal may be gone)
            self._give_up(error)

    def _refresh(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if not self._failure:
                self._look_at_gpus()
                try:
                    self._live.refresh()
                except Exception as error:  # noqa: BLE001  (as above)
                    self._give_up(error)
            self._wake.wait(REFRESH_S)
            self._wake.clear()

    def _draw(self) -> Group:
        if self._failure:
            return Group()
        try:
            with self._lock:
                snapshot = self._state.snapshot(time.time())
            extra = [line for line in (self._gpus, _files(snapshot.folder)) if line]
            glyphs = ASCII if self._console.options.ascii_only else UNICODE
            width, height = self._console.size
            return Group(*panel_lines(snapshot, width, max(height - 1, 1), extra=extra, glyphs=glyphs))
        except Exception as error:  # noqa: BLE001  (as above)
            self._give_up(error)
            return Group()

    def _look_at_gpus(self) -> None:
        now = time.monotonic()
        if self._has_gpus and now - self._gpus_at >= GPU_S:
            self._gpus, self._gpus_at = gpu_use(), now

    def _give_up(self, error: Exception) -> None:
        """From now on, lines."""
        if not self._failure:
            self._failure = f"the live view has failed ({type(error).__name__}: {error}); the search runs on, in lines"
            self._write(self._failure)


def _files(folder: str) -> str:
    return f"output: {Path(folder) / 'output.log'}; warnings of libraries: {LIBRARY_WARNINGS}" if folder else ""


class _LogLines(logging.Handler):
    """Prints what hearai logs above the panel; other log lines go where the log goes."""

    def __init__(self, print_line: Callable[[str], None]):
        super().__init__()
        self._print_line = print_line
        self._others = list(logging.getLogger().handlers)
        for handler in self._others:
            handler.addFilter(_is_foreign)
        logging.getLogger("hearai").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._print_line(record.getMessage())

    def close(self) -> None:
        logging.getLogger("hearai").removeHandler(self)
        for handler in self._others:
            handler.removeFilter(_is_foreign)
        super().close()


def _is_foreign(record: logging.LogRecord) -> bool:
    return record.name.split(".")[0] != "hearai"
