"""Writes report.html again and again while a search runs, so that it can be watched in a browser.

The writing is done by processes of low priority, one at a time: the search never waits for them, and what goes wrong in
them is logged and leaves the search as it is.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hearai.errors import printable
from hearai.files import python_path
from hearai.search.storage.layout import JOURNAL, REPORT, STUDY_FILE, TEST_SCORES
from hearai.threads import background

log = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds from one page to the next."""
REST = 20
"""Writing the page takes at most one part in this many of the time of one core."""
POLL = 0.2
"""Seconds between looks at the process that writes."""
CODE = f"from {__name__} import write_as_child; write_as_child()"


@contextmanager
def page_is_written(folder: Path, interval: float = INTERVAL, rest: int = REST) -> Iterator[None]:
    """Writes the page of a study at most every `interval` seconds, within a with block, whenever its search advances.

    The folder may not exist yet. rest: the pause after a page is this many times as long as writing it took, if that is
    longer than `interval`.
    """
    with background(lambda stopping: _write_again_and_again(folder, interval, rest, stopping)):
        yield


def _write_again_and_again(folder: Path, interval: float, rest: int, stopping: threading.Event) -> None:
    pause, warned = interval, False
    while not stopping.wait(pause):
        pause = interval
        if not page_is_old(folder):
            continue
        started = time.monotonic()
        problem = _write_in_child(folder, stopping)
        pause = max(interval, rest * (time.monotonic() - started))
        if problem and not warned:
            log.warning("%s cannot be written while the search runs: %s", folder / REPORT, printable(problem))
            warned = True


def page_is_old(folder: Path) -> bool:
    """Whether the search has advanced since its page was written; False where there is no study yet."""
    if not (folder / STUDY_FILE).is_file():
        return False
    written = _changed(folder / REPORT)
    return any(_changed(folder / name) > written for name in (JOURNAL, TEST_SCORES))


def _changed(path: Path) -> float:
    """When a file was changed, in seconds since 1970; 0 if it does not exist."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _write_in_child(folder: Path, stopping: threading.Event) -> str:
    """Writes the page once; returns what went wrong, or an empty text. Ends early when `stopping` is set."""
    environment = {**os.environ, "PYTHONPATH": python_path()}
    try:
        errors = tempfile.TemporaryFile()
    except OSError as error:
        return f"no temporary file can be made in {tempfile.gettempdir()} ({error.strerror})"
    with errors:
        try:
            child = subprocess.Popen(
                [sys.executable, "-c", CODE, str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the search
            )
        except OSError as error:
            return f"a process cannot be started ({error.strerror})"
        while child.poll() is None:
            if stopping.wait(POLL):
                child.terminate()
                child.wait()
                return ""
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    return (lines or [f"exit code {child.returncode}"])[-1] if child.returncode else ""


def write_as_child() -> None:
    """What the process runs; the study folder is its argument. Asked to end, it leaves no temporary file behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.nice(19)
    from hearai.reporting.study_report.page import write_page  # Optuna

    write_page(Path(sys.argv[1]))
