"""TODO."""

from collections.abc import Mapping
from typing import Any

JOURNAL, LOCK, OWNER = "journal.log", "owner.lock", "owner.json"


JOB = "HEARAI_JOB"
"""The variable that tells a search the name of the cluster's job that it is."""


TRIALS, LOG = "trials", "train.log"


def label_of(number: int, notes: Mapping[str, Any]) -> str:
    """Name of a trial's folder: `0007`, or `0007-seed2` for a finalist's retraining."""
    return f"{notes['source']:04d}-seed{notes['seed']}" if "source" in notes else f"{number:04d}"
