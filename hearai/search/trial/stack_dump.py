"""Python's stacks in the log of a trial whose process crashed or hung.

faulthandler writes them without the interpreter's help, so it works even while C code holds the interpreter's lock.
"""

import faulthandler
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from hearai.threads import BackgroundThread

FATAL = "Fatal Python error: "
"""First words of the stacks of a process that was ended by a signal such as SIGSEGV."""
TIMEOUT = "Timeout ("
"""First words of the stacks of a process that hung."""
PACKAGE = f"/{__name__.partition('.')[0]}/"
"""In the path of every module of this package. Not a full path: other nodes may have the code elsewhere."""
BACKGROUND_FILE = f"/{BackgroundThread.__module__.replace('.', '/')}.py"
BACKGROUND_FUNCTION = f" in {BackgroundThread.run.__name__}"
"""Both in one frame of every background thread of ours."""


class HangTimer:
    """Writes the stacks of all threads once `restart` has not been called for so many seconds."""

    def __init__(self, file: TextIO | None = None, seconds: float | None = None):
        """seconds: None = never."""
        self._file, self._seconds = file, seconds

    def restart(self) -> None:
        if self._file and self._seconds is not None:
            faulthandler.dump_traceback_later(self._seconds, file=self._file)


@contextmanager
def stack_dump(path: Path, hang_seconds: float | None) -> Iterator[HangTimer]:
    """Appends stacks to the file at `path` if the process crashes or hangs.

    Args:
        hang_seconds: without a report, after which the process counts as hung; None = stacks are never written, as for
            a run in a debugger.

    Yields:
        The timer to restart at each report.
    """
    if hang_seconds is None:
        yield HangTimer()
        return
    was_enabled = faulthandler.is_enabled()
    with path.open("a", encoding="utf-8") as file:
        timer = HangTimer(file, hang_seconds)
        faulthandler.enable(file)
        timer.restart()
        try:
            yield timer
        finally:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.disable()
    if was_enabled:
        faulthandler.enable()  # on the process's own stderr, as Ray has it


def location_in(lines: Sequence[str]) -> str:
    """` in training/batches.py:12 (batches)`: where the run was; empty if the stacks do not show it.

    Of all threads, the one that crashed or the one that runs the trial; of its frames, the innermost one of this
    package.
    """
    for thread in _threads_in(lines):
        frames = [line for line in thread if line.startswith("File ") and PACKAGE in line]
        if frames and not any(map(_is_background, frames)):
            file, _, rest = frames[0].partition(", line ")
            number, _, function = rest.partition(" in ")
            return f" in {file.rpartition(PACKAGE)[2].rstrip(chr(34))}:{number} ({function})"
    return ""


def _threads_in(lines: Sequence[str]) -> list[list[str]]:
    """Lines of each thread's stack, the thread that crashed first."""
    stacks: list[list[str]] = []
    for line in lines:
        if line.startswith(("Thread 0x", "Current thread 0x")):
            stacks.append([])
        if stacks:
            stacks[-1].append(line.strip())
    return sorted(stacks, key=lambda stack: not stack[0].startswith("Current"))


def _is_background(frame: str) -> bool:
    return BACKGROUND_FILE in frame and frame.endswith(BACKGROUND_FUNCTION)
