"""The labels of an annotation file. Every row is checked, but no frame has to be there."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from hearai.data.annotations.clip import HEADER, MAX_CLASSES
from hearai.data.annotations.problems import raise_problems
from hearai.data.annotations.text_files import is_whole, lines_of
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS, MISSING

DISTANCE = "distance"
"""A ninth column of older HamNoSys files, behind the eight heads; never read."""

GLOSS = "gloss"
"""What the one label column of a file without a header is called."""


def read_labels(path: Path, separator: str | None = None) -> dict[str, list[int]]:
    """{head: label of every row}, in the order of the file's columns; MISSING where a row says nothing.

    The columns are `name start end label...`. A header names the heads; without one, a single label is the
    gloss and eight are the heads of a HamNoSys notation.

    Args:
        separator: one character between the columns (quotes as in CSV); None is any white space.

    Raises:
        DataError: every wrong row as `file:line: what was found; what is allowed`.
    """
    rows = _read_rows(path, separator)
    has_header = [field.lower() for field in rows[0][1][:3]] == HEADER
    named = rows[0][1][3:] if has_header else []
    place = f"{path}:{rows[0][0]}"
    rows = rows[has_header:]
    if not rows:
        raise DataError(f"{path}: has no rows; give one `name start end label...` a clip")
    columns = _named_columns(place, named) if named else _columns_by_place(path, rows, separator)
    is_spare = not named and len(columns) == len(HEADS)
    reader = _RowReader(path, columns, spare=int(is_spare))
    for line, fields in rows:
        reader.read(line, fields)
    raise_problems(reader.problems)
    return reader.labels


def _read_rows(path: Path, separator: str | None) -> list[tuple[int, list[str]]]:
    """(line number, fields) of every line that is not blank."""
    lines = [(number, line) for number, line in lines_of(path) if line.strip()]
    if not lines:
        raise DataError(f"{path}: is empty; give one row `name start end label...` a clip")
    if separator is None:
        return [(number, line.split()) for number, line in lines]
    try:
        # Line by line, so that a stray quote spoils one row and not the rest of the file.
        split = [next(csv.reader([line], delimiter=separator, skipinitialspace=True)) for _, line in lines]
    except csv.Error as error:
        raise DataError(f"{path}: cannot be split at {separator!r} ({error}); plain text is due") from None
    return [(number, [field.strip() for field in fields]) for (number, _), fields in zip(lines, split, strict=True)]


def _named_columns(place: str, names: Sequence[str]) -> list[str]:
    """The label columns of a header; their names become names of files."""
    problems = [
        f"{place}: column name {name!r}; letters, digits, '_', '-', '.' and spaces are allowed"
        for name in names
        if not name or not all(letter.isalnum() or letter in "_-. " for letter in name)
    ]
    often = Counter(name.casefold() for name in names)
    problems += [
        f"{place}: {often[name]} columns are called {name!r}; one is allowed" for name in often if often[name] > 1
    ]
    raise_problems(problems)
    return list(names)


def _columns_by_place(path: Path, rows: Sequence[tuple[int, list[str]]], separator: str | None) -> list[str]:
    """The label columns of a file whose header does not name them, from the usual length of a row."""
    usual = Counter(len(fields) for _, fields in rows).most_common(1)[0][0]
    known = {4: [GLOSS], 3 + len(HEADS): list(HEADS), 4 + len(HEADS): list(HEADS)}
    if usual in known:
        return known[usual]
    line, fields = next(row for row in rows if len(row[1]) == usual)
    others = [mark for mark in (",", ";", "\t") if mark != separator and len(" ".join(fields).split(mark)) > 3]
    hint = f"; for {others[0]!r} between the columns give --separator {others[0]!r}" if others else ""
    raise DataError(
        f"{path}:{line}: {usual} columns; `name start end` and 1 label (gloss) or {len(HEADS)} (HamNoSys) are "
        f"allowed, or a header that names the labels{hint}"
    )


class _RowReader:
    """Collects the labels of rows, and what is wrong with them."""

    def __init__(self, path: Path, columns: Sequence[str], spare: int):
        self.path, self.columns, self.spare = path, columns, spare
        is_hamnosys = not HEADS.keys().isdisjoint(columns)
        heads = [column for column in columns if not (is_hamnosys and column == DISTANCE)]
        self.labels: dict[str, list[int]] = {head: [] for head in heads}
        self.problems: list[str] = []
        self.lines: dict[PurePath, int] = {}

    def read(self, line: int, fields: Sequence[str]) -> None:
        due = 3 + len(self.columns)
        if not due <= len(fields) <= due + self.spare:
            names = " ".join([*HEADER, *self.columns])
            self._note(line, f"{len(fields)} columns", f"{due} are due: {names}")
            return
        self._check_name(line, fields[0])
        self._check_range(line, *fields[1:3])
        self._add_labels(line, dict(zip(self.columns, fields[3:], strict=False)))

    def _note(self, line: int, found: str, allowed: str) -> None:
        self.problems.append(f"{self.path}:{line}: {found}; {allowed}")

    def _check_name(self, line: int, name: str) -> None:
        first = self.lines.setdefault(PurePath(name), line)
        if not name:
            self._note(line, "no name", "the clip's folder is due")
        elif first != line:
            self._note(line, f"clip {name!r} was given before in line {first}", "one row a clip is allowed")

    def _check_range(self, line: int, start: str, end: str) -> None:
        if not (is_whole(start) and is_whole(end)):
            self._note(line, f"start {start!r}, end {end!r}", "two whole numbers are due")
        elif not 0 <= int(start) <= int(end):
            self._note(line, f"start {start}, end {end}", "0 <= start <= end is due")

    def _add_labels(self, line: int, fields: Mapping[str, str]) -> None:
        for head, labels in self.labels.items():
            top = (HEADS[head].num_class if head in HEADS else MAX_CLASSES) - 1
            text = fields[head]
            if is_whole(text) and (0 <= int(text) <= top or int(text) == MISSING):
                labels.append(int(text))
            else:
                self._note(line, f"{head} has label {text!r}", f"0..{top} or {MISSING} (missing) is allowed")
