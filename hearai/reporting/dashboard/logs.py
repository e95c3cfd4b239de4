"""The logs of a study: which there are, and the end of one as text."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hearai.errors import UserError, printable
from hearai.reporting.live.terminal_view import LIBRARY_WARNINGS
from hearai.search.storage.layout import LOG, OUTPUT_LOG, TRIALS, TUNE_LOG

STUDY_LOGS = (OUTPUT_LOG, TUNE_LOG, LIBRARY_WARNINGS)
TRIAL_LABEL = re.compile(r"[0-9]{4,}(-seed-?[0-9]+)?")
MOST_TRIALS = 200
"""Logs of trials that are listed, the most recently changed."""
TAIL_BYTES = 200_000
"""Shown of a log."""


@dataclass(frozen=True)
class LogFile:
    """A log of a study."""

    name: str
    """Relative to the study folder: output.log, or trials/LABEL/train.log."""
    bytes: int
    changed: float
    """Seconds since 1970."""


def list_logs(folder: Path) -> list[LogFile]:
    """The logs of the search, then those of the trials, the most recently changed first."""
    trials = sorted(_existing(folder, _trial_logs(folder)), key=lambda log: -log.changed)
    return [*_existing(folder, STUDY_LOGS), *trials[:MOST_TRIALS]]


def _trial_logs(folder: Path) -> Iterator[str]:
    for path in (folder / TRIALS).glob("*"):
        if TRIAL_LABEL.fullmatch(path.name):
            yield f"{TRIALS}/{path.name}/{LOG}"


def _existing(folder: Path, names: Iterator[str] | tuple[str, ...]) -> Iterator[LogFile]:
    for name in names:
        path = inside(folder, name)
        if path is not None:
            entry = path.stat()
            yield LogFile(name, entry.st_size, entry.st_mtime)


def read_tail(folder: Path, name: str) -> str:
    """The end of a log as text; control characters are written as escapes.

    name: as `list_logs` gives it.

    Raises:
        UserError: there is no such log.
    """
    label = name.removeprefix(f"{TRIALS}/").removesuffix(f"/{LOG}")
    is_log = name in STUDY_LOGS or (name == f"{TRIALS}/{label}/{LOG}" and TRIAL_LABEL.fullmatch(label))
    path = inside(folder, name) if is_log else None
    if path is None:
        raise UserError(f"{name}: not a log of this study")
    content, skipped = _read_end(path, TAIL_BYTES)
    note = f"[the first {skipped} bytes are not shown; the file is {path}]\n" if skipped else ""
    return note + printable(content.decode("utf-8", errors="replace").replace("\r\n", "\n"))


def inside(folder: Path, name: str) -> Path | None:
    """The regular file of this name in a study folder; None if it does not exist, or is a link to a place outside.

    name: known to be harmless, not from a request.
    """
    try:
        path = (folder / name).resolve(strict=True)
        if path.is_relative_to(folder.resolve()) and stat.S_ISREG(path.stat().st_mode):
            return path
    except OSError:
        return None
    return None


def _read_end(path: Path, most: int) -> tuple[bytes, int]:
    """(the last complete lines of a file, at most `most` bytes; how many bytes precede them)."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = max(0, size - most)
        file.seek(start)
        content = file.read(most)
    if start:
        cut = content.find(b"\n") + 1
        return content[cut:], start + cut
    return content, 0
