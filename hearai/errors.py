"""What a user did wrong, said once and completely. Scripts turn it into exit code 2."""

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Input that cannot be used: every problem found, each with where, what was given, what is allowed."""

    def __init__(self, problems: str | Sequence[str]):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self):  # exceptions pickle their message, not their arguments; workers send these home
        return type(self), (self.problems,)


class ConfigError(UserError):
    """A config or search space that is wrong."""


class DataError(UserError):
    """A dataset folder that is wrong."""


class DiskFull(UserError):
    """A file could not be written: its disk is full, read-only or gone; what it held before is whole."""


class StoreLost(UserError):
    """An object store cannot be reached, or refuses; nothing in it is half-written."""


def choices(given: object, allowed: Iterable[str]) -> str:
    """`choose from a, b, c` with a guess at what was meant."""
    names = sorted(allowed)
    close = difflib.get_close_matches(str(given), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"choose from {', '.join(names)}{hint}"


def pick(table: dict[str, T], name: str, what: str) -> T:
    """The entry of a choice-by-name table.

    Raises:
        ConfigError: `name` is not in the table.
    """
    if name not in table:
        raise ConfigError(f"unknown {what} {name!r}; {choices(name, table)}")
    return table[name]


class Preempted(Exception):
    """The run was asked to leave its machine; it is saved, and goes on where it is called again."""


class Superseded(Exception):
    """The run was taken for dead and goes on in another process; this one may not write any more."""
