"""Collecting problems with data: the first ones of each kind in full, the others only counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hearai.errors import DataError

SHOWN = 20
"""Problems listed in full in an error; the others are counted."""

EXAMPLES = 3
"""Messages kept of each kind of problem."""


@dataclass
class Group:
    """The problems of one kind."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    """The first EXAMPLES messages."""


class Problems:
    """Collects problems; a million of them take no more memory than a few."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        """{kind: its problems}, in the order in which the kinds occurred."""
        self.first: list[str] = []
        """The first SHOWN messages of any kind."""

    def __len__(self) -> int:
        return sum(group.count for group in self.groups.values())

    def add(self, kind: str, message: str) -> None:
        """Adds a problem: `where: what was found; what is expected`."""
        group = self.groups.setdefault(kind, Group())
        group.count += 1
        if len(group.examples) < EXAMPLES:
            group.examples.append(message)
        if len(self.first) < SHOWN:
            self.first.append(message)

    def add_all(self, kind: str, messages: Iterable[str]) -> None:
        """Adds problems of one kind."""
        for message in messages:
            self.add(kind, message)

    def merge(self, other: "Problems") -> None:
        """Adds the problems of another collection."""
        for kind, group in other.groups.items():
            merged = self.groups.setdefault(kind, Group())
            merged.count += group.count
            merged.examples += group.examples[: EXAMPLES - len(merged.examples)]
        self.first += other.first[: SHOWN - len(self.first)]

    def raise_any(self) -> None:
        """Raises a DataError with the first problems and the number of the others, if there are any."""
        if more := len(self) - len(self.first):
            raise DataError([*self.first, f"... and {more} more problems"])
        if self.first:
            raise DataError(self.first)


class LineProblems:
    """Adds the problems of a text file to a collection, with the file and the current line."""

    def __init__(self, path: Path, problems: Problems):
        self.path, self.problems = path, problems
        self.line = 0

    def add(self, kind: str, found: str, expected: str) -> None:
        """Adds `FILE:LINE: found; expected`."""
        self.problems.add(kind, f"{self.path}:{self.line}: {found}; {expected}")


def first_of(messages: Sequence[str], more: str) -> list[str]:
    """The first SHOWN messages; if there are others, then a line with their number. more: what follows the number."""
    others = len(messages) - SHOWN
    return [*messages[:SHOWN], *([f"... and {others} {more}"] if others > 0 else [])]


def raise_problems(messages: Sequence[str]) -> None:
    """Raises a DataError with the first problems and the number of the others, if there are any."""
    problems = Problems()
    problems.add_all("", messages)
    problems.raise_any()
