"""Repairs a journal whose end was damaged (a power cut, a full disk), so that the search continues. Always logged."""

import logging
from pathlib import Path

from hearai.errors import UserError
from hearai.search.storage.journal_check import damaged_line, parse_line

TORN = ".torn"
"""Suffix of the file beside the journal that keeps what was cut off."""

log = logging.getLogger(__name__)


def repair(path: Path) -> None:
    """Moves a damaged end of a journal to `journal.log.torn` and logs a warning.

    No reader can get past a damaged line, and an append after a torn line makes the whole file unreadable. A trial
    whose values are lost stays RUNNING and resumes from its own checkpoint.

    Raises:
        UserError: valid lines follow a damaged one. They depend on what is lost, so nothing is changed.
    """
    head, newline, torn = path.read_bytes().rpartition(b"\n") if path.exists() else (b"", b"", b"")
    lines = head.split(b"\n") if newline else []
    if not torn and (not lines or _is_valid(path, lines[-1])):
        return  # damage before the end is found when the lines are read, see `parse_line`
    valid = [*(_is_valid(path, line) for line in lines), *([False] if torn else [])]
    first = valid.index(False)
    if any(valid[first:]):
        raise damaged_line(path, first + 1)
    _cut(path, [*lines, torn] if torn else lines, first)


def _is_valid(path: Path, line: bytes) -> bool:
    try:
        parse_line(path, 0, line)
    except UserError:
        return False
    return True


def _cut(path: Path, lines: list[bytes], first: int) -> None:
    """Moves the lines from index `first` on to the file beside the journal; copied first, then cut off."""
    size = sum(len(line) + 1 for line in lines[:first])
    with path.open("rb+") as file:
        file.seek(size)
        end = file.read()
        backup = path.with_name(path.name + TORN)
        with backup.open("ab") as torn:
            torn.write(end if end.endswith(b"\n") else end + b"\n")
        file.truncate(size)
    lost = len(lines) - first
    log.warning(
        "%s:%d: damaged from here to the end (%d line%s, %d bytes): moved to %s. Everything before it is intact; "
        "trials that were running resume from their own checkpoints",
        path,
        first + 1,
        lost,
        "s" if lost > 1 else "",
        len(end),
        backup.name,
    )
