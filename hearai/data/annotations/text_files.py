"""Reading text files written by hand: line by line, with the place of every invalid byte."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from hearai.errors import DataError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_MAX_QUOTED = 80
_INT64_DIGITS = 19


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields (line number, line without its end) of a UTF-8 text file.

    Raises:
        DataError: the file cannot be read, is no regular file, or is not UTF-8.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise DataError(f"{path}: {'a folder' if path.is_dir() else 'not a regular file'}; expected a text file")
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.rstrip("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot read ({error.strerror}); expected a text file") from None
    except UnicodeDecodeError:
        number, byte = _find_invalid_byte(path)
        raise DataError(f"{path}:{number}: byte {byte} is not UTF-8; expected a text file in UTF-8") from None


def _find_invalid_byte(path: Path) -> tuple[int, int]:
    """(line, offset of the byte in the file); the offset in the error itself counts from the start of its buffer."""
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return number, start + error.start
            start += len(line)
    return 1, 0


def has_control_characters(text: str) -> bool:
    """Whether the text contains control characters (NUL, escape, a change of writing direction, ...)."""
    return _CONTROL.search(text) is not None


def quoted(text: str) -> str:
    """The text in quotes, control characters escaped, cut where it is very long."""
    return repr(text) if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]!r}... ({len(text)} characters)"


def is_integer(text: str) -> bool:
    """Whether the text is an integer, such as -1, that fits into 64 bits."""
    return text.isascii() and text.removeprefix("-").isdecimal() and len(text) < _INT64_DIGITS
