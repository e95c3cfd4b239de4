"""The log of a trial: written while it runs, and read for the reason why it failed. Imports neither Ray nor torch."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hearai.errors import Preempted, Superseded
from hearai.search.storage.layout import LOG
from hearai.search.trial.stack_dump import FATAL, TIMEOUT, location_in

TRIAL_FAILED = "the trial failed"
"""In the line of the log before a traceback, or before another reason."""
SIGNALS = {"Segmentation fault": "segmentation fault (SIGSEGV)", "Aborted": "aborted (SIGABRT)"}
"""{what faulthandler calls a signal: what a person reads}."""


class Stopped(SystemExit):
    """Ends a trial that the search has stopped."""


@contextmanager
def trial_log(folder: Path, worker: str = "") -> Iterator[None]:
    """Writes everything the run logs, and the error that ended it, to `train.log` in its folder.

    worker: which worker of a group this process is, such as `worker 0 of 2`.

    Raises:
        RuntimeError: the run's code called sys.exit; Ray would report that as a normal end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / LOG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("hearai")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        logger.info("process %d started%s", os.getpid(), worker and f" as {worker}")
        yield
    except Stopped:
        raise
    except Preempted as preempted:
        logger.info("%s; it will resume on another node", preempted)
        raise
    except Superseded as superseded:
        logger.info("process %d ends: %s", os.getpid(), superseded)
        raise
    except SystemExit as error:
        logger.info("%s (process %d)\nit called sys.exit(%r)", TRIAL_FAILED, os.getpid(), error.code)
        raise RuntimeError(f"the trial called sys.exit({error.code!r})") from error
    except Exception:
        logger.exception("%s (process %d)", TRIAL_FAILED, os.getpid())
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


def log_size(folder: Path) -> int:
    """Size of the log in bytes, which is where the next attempt's part starts."""
    path = folder / LOG
    return path.stat().st_size if path.exists() else 0


def failure_of(folder: Path, start: int = 0, killed: str = "the process died") -> str:
    """The reason for a failure, as the log of an attempt shows it.

    Args:
        start: where in the log the attempt starts, in bytes.
        killed: what happened to a process that was ended before it could log a reason.
    """
    path = folder / LOG
    text = path.read_bytes()[start:].decode("utf-8", errors="replace") if path.exists() else ""
    lines = text.strip().splitlines()
    if any(TRIAL_FAILED in line for line in lines):
        return _readable(lines[-1])
    for number, line in enumerate(lines):
        if line.startswith(FATAL):
            signal = line.removeprefix(FATAL)
            return f"{SIGNALS.get(signal, signal)}{location_in(lines[number:])}"
    timeouts = [number for number, line in enumerate(lines) if line.startswith(TIMEOUT)]
    return f"{killed}{location_in(lines[timeouts[-1] :]) if timeouts else _last_line(lines)}"


def _readable(reason: str) -> str:
    """The last line of a traceback; `out of memory: ` comes first where that is what it means."""
    _, allocator, requested = reason.partition("can't allocate memory: ")
    if allocator:
        return f"out of memory: {requested}"
    return f"out of memory: {reason}" if reason.startswith("MemoryError") else reason


def _last_line(lines: Sequence[str]) -> str:
    return f"; last line of its log: {lines[-1]}" if lines else " before the run started"
