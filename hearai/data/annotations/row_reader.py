"""Reads the rows `name start end label...` of annotation files: fields, header, and the checks that all users share."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

from hearai.data.annotations.clip import MAX_CLASSES
from hearai.data.annotations.label_words import LabelWords
from hearai.data.annotations.problems import LineProblems, Problems
from hearai.data.annotations.text_files import has_control_characters, is_integer, quoted, read_lines
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING

MAX_PATH, MAX_PART = 2000, 255
"""Bytes of a clip's name, and of each folder in it, as file systems limit them."""
HEADER = ["name", "start", "end"]
"""The first fields of a header, which a file may have; also the columns before the labels."""

DISTANCE = "distance"
"""An optional ninth label column of older HamNoSys files; never read."""

ONE_ROW_PER_CLIP = "expected one row per clip: name start end label..."

OPEN_END = -1
"""In place of an end: the last frame that is there."""

NumClasses = int | Literal["auto"]
"""Number of classes of a head; "auto" allows any label from 0 on."""

Row = tuple[int, list[str]]
"""(line number, fields)"""


@dataclass(frozen=True)
class AnnotationFile:
    """An annotation file, opened: its first row, and an iterator over all rows but the header."""

    path: Path
    first_line: int
    first_row: list[str]
    """The header, or the first clip."""
    has_header: bool
    rows: Iterator[Row]
    """(line number, fields) of each clip."""
    separator: str | None
    """Between the columns; None = any whitespace."""
    reopen: Callable[[], "AnnotationFile"]
    """Opens the file once more, with all its rows."""

    @property
    def label_columns(self) -> list[str]:
        """The header's names of the label columns; none without a header."""
        return self.first_row[len(HEADER) :] if self.has_header else []


def open_annotations(path: Path, separator: str | None = None) -> AnnotationFile:
    """Reads the first row of an annotation file; blank lines are skipped.

    Args:
        separator: one character between the columns (quotes as in CSV); None = any whitespace, or the commas or
            semicolons of the first row.

    Raises:
        DataError: the file cannot be read, is empty or is not UTF-8; also while iterating over the rows.
    """
    separator = separator or _find_separator(path)
    rows = _split_lines(path, separator)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: empty; {ONE_ROW_PER_CLIP}")
    has_header = [field.lower() for field in first[1][:3]] == HEADER
    second = next(rows, None) if has_header else first
    if second is None:
        raise DataError(f"{path}: no rows; {ONE_ROW_PER_CLIP}")
    reopen = partial(open_annotations, path, separator)
    return AnnotationFile(path, *first, has_header, chain([second], rows), separator, reopen)


def find_annotations(folder: Path, file: str) -> Path:
    """The path of an annotation file of a dataset folder.

    Raises:
        DataError: the folder or the file is missing.
    """
    path = folder / file
    if not folder.is_dir():
        raise DataError(f"{folder}: not a directory; expected a dataset folder containing {path.name}")
    if os.path.lexists(path) and not path.is_file():
        kind = "a folder" if path.is_dir() else "a symlink to nothing" if path.is_symlink() else "not a regular file"
        raise DataError(f"{path}: {kind}; expected an annotation file")
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in folder.glob("*.txt"))) or "no .txt files"
        raise DataError(
            f"{folder}: does not contain {path.name} (found {found}); add it, or set "
            "general_parameters.annotation_file to the name of yours"
        )
    return path


def outside_folder(folder: Path, file: str) -> str | None:
    """What is wrong with a path given for an annotation file that would lead out of `folder`; None if nothing is."""
    if Path(file).is_absolute() or ".." in Path(file).parts or has_control_characters(file):
        return f"{folder}: annotation file {quoted(file)} is outside the folder or has control characters; " + (
            "expected the name of a file inside it, such as test_hamnosys.txt"
        )
    return None


def _find_separator(path: Path) -> str | None:
    """The comma or semicolon of a file whose first row makes sense only with it."""
    text = next((text for _, text in read_lines(path) if text.strip()), "")
    if _begins_a_row(text.split()):
        return None
    return next((mark for mark in ",;" if _begins_a_row([field.strip(' "') for field in text.split(mark)])), None)


def _begins_a_row(fields: Sequence[str]) -> bool:
    """Whether the first fields are those of a header, or a name, a start and an end."""
    is_clip = len(fields) > len(HEADER) and is_integer(fields[1]) and is_integer(fields[2])
    return is_clip or [field.lower() for field in fields[: len(HEADER)]] == HEADER


def _split_lines(path: Path, separator: str | None) -> Iterator[Row]:
    if separator is None:
        for line, text in read_lines(path):
            if fields := text.split():
                yield line, fields
        return
    for line, text in read_lines(path):
        if text.strip():
            try:  # line by line, so that a stray quote spoils one row and not the rest of the file
                fields = next(csv.reader([text], delimiter=separator, skipinitialspace=True))
            except csv.Error as error:
                raise DataError(
                    f"{path}:{line}: cannot split at {separator!r} ({error}); expected plain text"
                ) from None
            yield line, [field.strip() for field in fields]


@dataclass(frozen=True)
class LabelColumns:
    """The label columns of an annotation file."""

    names: Sequence[str]
    optional: int = 0
    """Unnamed columns that may follow; they are not read."""


class RowChecker:
    """Checks the fields of annotation rows and adds what is wrong with them to `problems`."""

    def __init__(self, file: AnnotationFile, columns: LabelColumns, problems: Problems):
        self.columns, self._reopen = columns, file.reopen
        self.words = LabelWords(file.path, self._column)
        self.problems = LineProblems(file.path, problems)
        self.first_lines: dict[str, int] = {}
        """{clip name: line of its first row}"""
        self._min_fields = len(HEADER) + len(columns.names)
        self._max_fields = self._min_fields + columns.optional

    def _column(self, head: str) -> Iterator[str]:
        """The texts of a label column, read once more."""
        position = len(HEADER) + self.columns.names.index(head)
        for _, fields in self._reopen().rows:
            if len(fields) > position:
                yield fields[position]

    def start_row(self, line: int, fields: Sequence[str]) -> bool:
        """Moves to the next row; whether it has the right number of columns."""
        self.problems.line = line
        if self._min_fields <= len(fields) <= self._max_fields:
            return True
        expected = f"expected {self._min_fields}: {' '.join([*HEADER, *self.columns.names])}"
        self.problems.add("wrong number of columns", f"{len(fields)} columns", expected)
        return False

    def is_plain_name(self, name: str) -> bool:
        """Whether the clip name can name a folder at all."""
        if not name:
            self.problems.add("invalid clip names", "no name", "expected the name of the clip's folder")
        elif has_control_characters(name):
            found = f"name {quoted(name)} contains a control character"
            self.problems.add("invalid clip names", found, "expected a plain folder name")
        elif len(name.encode()) > MAX_PATH or max(len(part.encode()) for part in name.split("/")) > MAX_PART:
            found = f"name {quoted(name)} is too long"
            expected = f"expected at most {MAX_PATH} bytes, {MAX_PART} in each folder"
            self.problems.add("invalid clip names", found, expected)
        else:
            return True
        return False

    def is_first_row_of(self, name: str) -> bool:
        """Whether no earlier row names the clip."""
        first = self.first_lines.setdefault(name, self.problems.line)
        if first == self.problems.line:
            return True
        found = f"clip {quoted(name)} is already in line {first}"
        self.problems.add("duplicate clips", found, "expected one row per clip")
        return False

    def frame_range(self, start: str, end: str) -> tuple[int, int] | None:
        """The first and last frame, which may be OPEN_END; None if they are invalid."""
        if not (is_integer(start) and is_integer(end)):
            found = f"start {quoted(start)}, end {quoted(end)}"
            self.problems.add("invalid start or end", found, "expected two integers")
            return None
        first, last = int(start), int(end)
        if 0 <= first and (first <= last or last == OPEN_END):
            return first, last
        expected = f"expected 0 <= start <= end, or end {OPEN_END} for the last frame"
        self.problems.add("invalid start or end", f"start {first}, end {last}", expected)
        return None

    def label(self, head: str, text: str, num_class: NumClasses) -> int | None:
        """The class, or MISSING; None if the text is neither. A word is the class that `LabelWords` gives it."""
        top = (MAX_CLASSES if num_class == "auto" else num_class) - 1
        label = int(text) if is_integer(text) else self.words.number(head, text)
        if label is not None and (0 <= label <= top or label == MISSING):
            return label
        expected = f"expected 0..{top} or {MISSING} (missing){self.words.expected(head)}"
        self.problems.add("invalid labels", f"{head} has label {quoted(text)}", expected)
        return None
