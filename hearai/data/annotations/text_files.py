"""Text files that people wrote: read line by line, doubted byte by byte."""

import re
from collections.abc import Iterator
from pathlib import Path

from hearai.errors import DataError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LONGEST = 80


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, line without its end) of a text file in UTF-8, read as it goes.

    Raises:
        DataError: the file cannot be read, or is no UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.rstrip("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); a text file is due") from None
    except UnicodeDecodeError:
        line, byte = _place_of_wrong_byte(path)
        raise DataError(f"{path}:{line}: byte {byte} is no UTF-8; a text file in UTF-8 is due") from None


def _place_of_wrong_byte(path: Path) -> tuple[int, int]:
    """(line, number of the byte in the file): the error itself counts from the start of its buffer."""
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return number, start + error.start
            start += len(line)
    return 1, 0


def has_control(text: str) -> bool:
    """True where the text holds a control character (NUL, escape, a change of writing direction, ...)."""
    return _CONTROL.search(text) is not None


def shown(text: str) -> str:
    """The text quoted, control characters as escapes, cut where it is very long."""
    return repr(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]!r}... ({len(text)} characters)"


def is_whole(text: str) -> bool:
    """True for a whole number, such as -1, that fits 64 bits."""
    return text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 19
