"""What a trial's process was doing when it was killed by its own fault, or hung: Python's stacks, in its log.

faulthandler writes them without the interpreter's help, so also when C code holds it for ever.
"""

import faulthandler
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FATAL = "Fatal Python error: "
"""How the stacks of a process begin that a signal such as SIGSEGV ends."""
TIMEOUT = "Timeout ("
"""How the stacks of a process begin that has hung."""
OURS = "/hearai/"
WAITING = ("/hearai/search/trial/preemption.py", "/hearai/search/trial/trial_metrics.py")
"""Threads that only wait, beside the one that runs the trial."""


@contextmanager
def stack_dump(path: Path, hang_seconds: float | None) -> Iterator[Callable[[], None]]:
    """Stacks go to the end of the file at `path` while the context lasts.

    hang_seconds: they are written once no report has come for so long; None = a run that somebody watches: never.
    Yields: to be called at each report.
    """
    if hang_seconds is None:
        yield lambda: None
        return
    known = faulthandler.is_enabled()
    with path.open("a", encoding="utf-8") as file:

        def reported() -> None:
            faulthandler.dump_traceback_later(hang_seconds, file=file)

        faulthandler.enable(file)
        reported()
        try:
            yield reported
        finally:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.disable()
    if known:
        faulthandler.enable()  # as Ray has it: on the process's own stderr


def location_in(lines: Sequence[str]) -> str:
    """` in training/batches.py:12 (batches)`: where the run stood; empty if the stacks do not say.

    Of all threads the one that crashed, or the one that runs the trial; of its frames the innermost of our code.
    """
    threads: list[list[str]] = []
    for line in lines:
        if line.startswith(("Thread 0x", "Current thread 0x")):
            threads.append([])
        if threads:
            threads[-1].append(line.strip())
    threads.sort(key=lambda thread: not thread[0].startswith("Current"))  # stable: the crashed one first
    for thread in threads:
        frames = [line for line in thread if line.startswith("File ") and OURS in line]
        if any(waiting in frame for frame in frames for waiting in WAITING):
            continue
        if frames:
            file, _, rest = frames[0].partition(", line ")
            line, _, function = rest.partition(" in ")
            return f" in {file.rpartition(OURS)[2].rstrip(chr(34))}:{line} ({function})"
    return ""
