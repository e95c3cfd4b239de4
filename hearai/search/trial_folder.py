"""The folder of a trial: its name, its log, and why it failed. Knows neither Ray nor torch."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TRIALS, LOG = "trials", "train.log"
_FAILED = "the trial failed"


def label_of(number: int, notes: Mapping[str, Any]) -> str:
    """Name of a trial's folder: `0007`, or `0007-seed2` for a finalist's retraining."""
    return f"{notes['source']:04d}-seed{notes['seed']}" if "source" in notes else f"{number:04d}"


@contextmanager
def trial_log(folder: Path) -> Iterator[None]:
    """Everything the run logs, and why it ended if by an error, goes to `train.log` in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / LOG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("hearai")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except Exception:
        logger.exception("%s (process %d)", _FAILED, os.getpid())
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


def failure_of(folder: Path) -> str:
    """The reason that the log ends with. A process that was killed could not write one."""
    path = folder / LOG
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines() if path.exists() else []
    if not lines:
        return "no log: the process died before the run began"
    wrote_why = any(_FAILED in line for line in lines)
    return lines[-1] if wrote_why else f"the process died; its last words: {lines[-1]}"
