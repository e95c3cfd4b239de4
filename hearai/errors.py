"""Exceptions that scripts and the search handle by type, and error messages for choices by name."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
UNPRINTABLE = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
"""Unicode categories that are escaped: controls, invisible formats (changes of direction), bytes that are not text."""


def printable(text: str) -> str:
    """A text for a terminal: control characters other than line breaks and tabs are written as escapes, `\\x1b`.

    Names and values in messages come from files of others; a terminal would obey the escape sequences in them.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in UNPRINTABLE and char not in "\n\t\u200d"  # the last joins emoji
        else char
        for char in text
    )


class UserError(Exception):
    """Input or environment that the user must fix; scripts print it without a traceback and exit with code 2.

    `problems` has one message per problem: where it is, what was given, what is allowed. Control characters in it are
    escaped, see `printable`.
    """

    def __init__(self, problems: str | Sequence[str]):
        self.problems = [printable(line) for line in ([problems] if isinstance(problems, str) else problems)]
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled with their message instead of their arguments; workers send these to the driver.
        return type(self), (self.problems,)


class ConfigError(UserError):
    """An invalid config, search space or option."""


class DataError(UserError):
    """An invalid dataset."""


class DiskFull(UserError):
    """A file cannot be written because its disk is full, read-only or unavailable; its previous content is intact."""


class StoreLost(UserError):
    """An object store is unreachable or denies access; none of its objects is partially written."""


class Preempted(Exception):
    """The run was preempted; its state is saved, and the next call resumes it."""


class Superseded(Exception):
    """Another process has resumed the run, because this one was considered dead; this one must not write any more."""


def load_failure(error: Exception) -> str:
    """Why a file of weights or arrays could not be loaded, in one line.

    Where a library refuses a file because loading it could run code, its message advises how to load it nevertheless;
    that advice is not repeated.
    """
    if isinstance(error, EOFError | LookupError):  # their texts are keys and offsets
        return "it is damaged, or no file of this kind"
    lines = str(error).strip().splitlines()
    reason = lines[0].rstrip(".") if lines else type(error).__name__
    if type(error).__name__ == "UnpicklingError" or re.search("pickle|weights_only", str(error)):
        return "it is damaged, or holds objects that could run code; it was not loaded"
    return reason


def choices(given: object, allowed: Iterable[str]) -> str:
    """`choose from a, b, c`, with a suggestion if one is close to what was given."""
    names = sorted(allowed)
    close = difflib.get_close_matches(str(given), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"choose from {', '.join(names)}{hint}"


def pick(table: Mapping[str, T], name: str, what: str) -> T:
    """The entry of a table by name. what: the kind of the entries, for the message.

    Raises:
        ConfigError: `name` is not in the table.
    """
    if name not in table:
        raise ConfigError(f"unknown {what} {name!r}; {choices(name, table)}")
    return table[name]
