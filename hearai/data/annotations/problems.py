"""What is wrong with data: the first of each kind in words, all others only counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hearai.errors import DataError

SHOWN = 20
"""Problems listed in full; the rest is counted."""

EXAMPLES = 3
"""Texts kept of each kind of problem."""


@dataclass
class Group:
    """The problems of one kind."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    """The first EXAMPLES texts."""


class Problems:
    """Collects problems; a million of them take no more memory than a few."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        """{kind: its problems}, in the order in which the kinds came."""
        self.first: list[str] = []
        """The first SHOWN texts of any kind."""

    def __len__(self) -> int:
        return sum(group.count for group in self.groups.values())

    def add(self, kind: str, text: str) -> None:
        """Notes a problem: `where: what was found; what is allowed`."""
        group = self.groups.setdefault(kind, Group())
        group.count += 1
        if len(group.examples) < EXAMPLES:
            group.examples.append(text)
        if len(self.first) < SHOWN:
            self.first.append(text)

    def add_all(self, kind: str, texts: Iterable[str]) -> None:
        """Notes problems of one kind."""
        for text in texts:
            self.add(kind, text)

    def take(self, other: "Problems") -> None:
        """Adds what another one collected."""
        for kind, group in other.groups.items():
            mine = self.groups.setdefault(kind, Group())
            mine.count += group.count
            mine.examples += group.examples[: EXAMPLES - len(mine.examples)]
        self.first += other.first[: SHOWN - len(self.first)]

    def raise_any(self) -> None:
        """Raises a DataError of the first problems and the number of the others, if there are any."""
        if more := len(self) - len(self.first):
            raise DataError([*self.first, f"... and {more} more problems"])
        if self.first:
            raise DataError(self.first)


def raise_problems(problems: Sequence[str]) -> None:
    """Raises a DataError of the first problems and the number of the others, if there are any."""
    collected = Problems()
    collected.add_all("", problems)
    collected.raise_any()
