"""The folder of a trial: its name, its log, and why it failed. Knows neither Ray nor torch."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hearai.errors import Preempted, Superseded
from hearai.search.storage.layout import LOG
from hearai.search.trial.stack_dump import FATAL, TIMEOUT, location_in

_FAILED = "the trial failed"


class Stopped(SystemExit):
    """How a trial ends that the search has stopped."""


@contextmanager
def trial_log(folder: Path, worker: str = "") -> Iterator[None]:
    """Everything the run logs, and why it ended if by an error, goes to `train.log` in its folder.

    worker: which one of a group this process is, in words.

    Raises:
        RuntimeError: the run's code called sys.exit; in an actor that would pass as an ordinary end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / LOG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("hearai")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        logger.info("process %d begins%s", os.getpid(), worker and f" as {worker}")
        yield
    except Stopped:
        raise
    except Preempted as leaving:
        logger.info("%s: it goes on elsewhere", leaving)
        raise
    except Superseded as end:
        logger.info("process %d ends: %s", os.getpid(), end)
        raise
    except SystemExit as error:
        logger.info("%s (process %d)\nit called sys.exit(%r)", _FAILED, os.getpid(), error.code)
        raise RuntimeError(f"the trial called sys.exit({error.code!r})") from error
    except Exception:
        logger.exception("%s (process %d)", _FAILED, os.getpid())
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


def log_size(folder: Path) -> int:
    """Bytes of the log so far: an attempt begins there."""
    path = folder / LOG
    return path.stat().st_size if path.exists() else 0


def failure_of(folder: Path, start: int = 0, killed: str = "the process died") -> str:
    """The reason that the log of an attempt ends with.

    start: where in the log the attempt begins, in bytes.
    killed: what happened to a process that could not write a reason.
    """
    path = folder / LOG
    text = path.read_bytes()[start:].decode("utf-8", errors="replace") if path.exists() else ""
    lines = text.strip().splitlines()
    if any(_FAILED in line for line in lines):
        return _in_words(lines[-1])
    for number, line in enumerate(lines):
        if line.startswith(FATAL):
            signal = line.removeprefix(FATAL)
            return f"{_SIGNALS.get(signal, signal)}{location_in(lines[number:])}"
    stood = [number for number, line in enumerate(lines) if line.startswith(TIMEOUT)]
    return f"{killed}{location_in(lines[stood[-1] :]) if stood else _last_words(lines)}"


_SIGNALS = {"Segmentation fault": "segmentation fault (SIGSEGV)", "Aborted": "aborted (SIGABRT)"}


def _in_words(reason: str) -> str:
    """The last line of a traceback; what stands for a lack of memory says so first."""
    _, torch_says, wanted = reason.partition("can't allocate memory: ")
    if torch_says:
        return f"out of memory: {wanted}"
    return f"out of memory: {reason}" if reason.startswith("MemoryError") else reason


def _last_words(lines: Sequence[str]) -> str:
    return f"; its last words: {lines[-1]}" if lines else " before the run began"
