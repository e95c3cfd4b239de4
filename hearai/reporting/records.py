"""Checks what a search has recorded about its trials: attributes in the journal, and metrics.jsonl.

Anyone who can write to the storage can write these files, so their types are checked where they are read.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from hearai.config.validation import Count, Record, explain
from hearai.errors import UserError
from hearai.metrics import CHOSEN_SCORE, SCORE

M = TypeVar("M", bound=BaseModel)
Seconds = Annotated[float, Field(ge=0)]
AnyNumber = Annotated[float, Field(allow_inf_nan=True)]


class TrialNotes(Record):
    """The attributes of a trial that a report reads, see `hearai.search.storage.attributes`; None = not recorded."""

    kind: str | None = None
    epochs: Count | None = None
    best_epoch: Count | None = None
    seconds: Seconds | None = None
    diverged: bool = False
    reason: str = ""
    cut: str | None = None
    costs: dict[str, AnyNumber] = {}
    source: Count | None = None
    seed: Count | None = None


class SearchNotes(Record):
    """The attributes of a search as a whole that a report reads."""

    code_versions: list[str] = []
    pretraining_seconds: Seconds | None = None
    phase_seconds: dict[str, Seconds] = {}
    threads: Count | None = None
    ended_by: str | None = None
    wall_seconds: Seconds | None = None
    slot_seconds: Seconds | None = None
    total_seconds: Seconds | None = None
    memory_pss_gb: Seconds | None = None


def check_notes(journal: Path, what: str, notes: Mapping[str, Any], model: type[M]) -> M:
    """The attributes of a trial or a search. what: whose they are, for the message.

    Raises:
        UserError: an attribute has another type.
    """
    try:
        return model.model_validate(dict(notes))
    except ValidationError as error:
        raise UserError([f"{journal}: {what}: {problem}" for problem in explain(error, model)]) from None


def read_rows(path: Path) -> list[dict[str, float]]:
    """The complete lines of a metrics file; the last one of a killed run may be torn.

    Raises:
        UserError: a line has no epoch, or a score that is not a number.
    """
    if not path.exists():
        return []
    complete, _, _ = read_text(path).rpartition("\n")
    return [_row(path, number, line) for number, line in enumerate(complete.splitlines(), start=1)]


def _row(path: Path, number: int, line: str) -> dict[str, float]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: has a line that is not JSON; delete the file to report without its curve") from None
    is_row = isinstance(row, dict) and isinstance(row.get("epoch"), int | float) and 0 <= row["epoch"] <= 10**9
    names = [key for key in row if key in (SCORE, CHOSEN_SCORE) or key.endswith("/macro_f1")] if is_row else ["epoch"]
    for name in names:
        value = row.get(name) if isinstance(row, dict) else None
        if not is_row or isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(
                f"{path}:{number}: {name}: got {value!r:.40}; must be a number; delete the file to report without its "
                "curve"
            )
    return row


def read_text(path: Path) -> str:
    """The text of a regular file.

    Raises:
        UserError: it is something else, or cannot be read.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path}: not a file; delete it")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
