"""Words in place of class numbers in annotation files: numbered by the class list, else in alphabetical order."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from hearai.data.annotations.metadata import ClassNames, collect_class_names, list_file, normalise_word
from hearai.data.annotations.problems import Problems
from hearai.data.annotations.text_files import has_control_characters, is_integer, quoted
from hearai.sign.hamnosys import HEADS


class LabelWords:
    """The numbers of the words in one annotation file; a head is looked at when its first word is met.

    Args:
        path: the file; class lists are in its folder or the parent folder.
        column: returns the texts of a head's column.
    """

    def __init__(self, path: Path, column: Callable[[str], Iterable[str]]):
        self._path, self._column = path, column
        self._numbers: dict[str, dict[str, set[int]]] = {}
        """{head: {normalised word: its numbers}}"""
        self.numbered: ClassNames = {}
        """{head: {number: word}} of the heads without a class list, whose words were numbered here."""

    def number(self, head: str, text: str) -> int | None:
        """The class of a word; None if it has none, or if the column has numbers, too."""
        if head in HEADS:
            return None
        if head not in self._numbers:
            self._numbers[head] = self._read_list(head) or self._number_column(head)
        numbers = self._numbers[head].get(normalise_word(text), set())
        return next(iter(numbers)) if len(numbers) == 1 else None

    def expected(self, head: str) -> str:
        """What is allowed beside numbers, for messages; empty where a column has no words at all."""
        if not self._numbers.get(head):
            return ""
        return "" if head in self.numbered else f", or a word with one number in {list_file(head).split()[0]}"

    def _read_list(self, head: str) -> dict[str, set[int]]:
        numbers: dict[str, set[int]] = {}
        for number, name in collect_class_names(self._path.parent, Problems()).get(head, {}).items():
            if not is_integer(name):  # such a text in a row is a class number
                numbers.setdefault(normalise_word(name), set()).add(number)
        return numbers

    def _number_column(self, head: str) -> dict[str, set[int]]:
        """The words of a column without numbers, in alphabetical order from 0."""
        spelling: dict[str, str] = {}
        for text in self._column(head):
            if is_integer(text) and int(text) < 0:
                continue  # missing
            if not _is_word(text):
                return {}
            spelling.setdefault(normalise_word(text), text)
        words = sorted(spelling)
        self.numbered[head] = {number: spelling[word] for number, word in enumerate(words)}
        return {word: {number} for number, word in enumerate(words)}


def numbered_notes(words: Mapping[str, ClassNames]) -> list[str]:
    """The remarks on heads whose words were numbered; one for all datasets.

    Args:
        words: {dataset: {head: {number: word}}}.
    """
    heads: dict[str, dict[int, str]] = {}
    for names in words.values():
        for head, numbered in names.items():
            heads.setdefault(head, {}).update(numbered)
    return [_numbered_note([where for where in words if words[where].get(head)], head, heads[head]) for head in heads]


def _numbered_note(where: Iterable[str], head: str, names: Mapping[int, str]) -> str:
    first = [f"{number} = {quoted(names[number])}" for number in sorted(names)[:3]]
    shown = ", ".join([*first, "..."] if len(names) > len(first) else first)
    fixed = f"a {list_file(head)} fixes their numbers"
    return f"{', '.join(where)}: {head}: {len(names)} words are numbered in alphabetical order ({shown}); {fixed}"


def _is_word(text: str) -> bool:
    """Whether a text is neither a number, nor something that was meant as one (1.0, nan)."""
    try:
        float(text)
    except ValueError:
        return any(letter.isalpha() for letter in text) and not has_control_characters(text)
    return False
