"""A journal whose end was damaged (a power cut, a full disk) goes on from its last sound line; never silently."""

import logging
from pathlib import Path

from hearai.errors import UserError
from hearai.search.storage.journal_backend import damaged, parse_line

TORN = ".torn"
"""Ending of the file, beside the journal, that keeps what was cut off."""

log = logging.getLogger(__name__)


def repair(path: Path) -> None:
    """Cuts a damaged end off a journal, keeps it in `journal.log.torn`, and says so.

    A line that is damaged is a line that no reader can pass, and appending to half of one breaks the file for good.
    A trial whose reports stood there stays RUNNING and goes on from its own checkpoint.

    Raises:
        UserError: sound lines follow a damaged one: what they build on is lost, so nothing is changed.
    """
    whole, newline, half = path.read_bytes().rpartition(b"\n") if path.exists() else (b"", b"", b"")
    lines = whole.split(b"\n") if newline else []
    if not half and (not lines or _is_sound(path, lines[-1])):
        return  # damage further up is found by who reads every line, see `parse_line`
    sound = [*(_is_sound(path, line) for line in lines), *([False] if half else [])]  # half a line is none
    first = sound.index(False)
    if any(sound[first:]):
        raise damaged(path, first + 1)
    _cut(path, [*lines, half] if half else lines, first)


def _is_sound(path: Path, line: bytes) -> bool:
    try:
        parse_line(path, 0, line)
    except UserError:
        return False
    return True


def _cut(path: Path, lines: list[bytes], first: int) -> None:
    """Moves the lines from `first` on into the file beside it. That one is on the disk before anything is cut."""
    keep = sum(len(line) + 1 for line in lines[:first])
    with path.open("rb+") as file:
        file.seek(keep)
        end = file.read()
        kept = path.with_name(path.name + TORN)
        with kept.open("ab") as torn:
            torn.write(end if end.endswith(b"\n") else end + b"\n")
        file.truncate(keep)
    lost = len(lines) - first
    log.warning(
        "%s:%d: damaged from here to its end (%d line%s, %d bytes): cut off, and kept in %s; what came before is "
        "whole, and trials that were under way go on from their own checkpoints",
        path,
        first + 1,
        lost,
        "s" if lost > 1 else "",
        len(end),
        kept.name,
    )
