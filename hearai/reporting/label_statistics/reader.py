"""Reads the labels of an annotation file. Every row is checked, but the frames need not exist."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hearai.data.annotations.clip import normalise_name
from hearai.data.annotations.header import canonical_names, read_notations
from hearai.data.annotations.problems import Problems, raise_problems
from hearai.data.annotations.row_reader import (
    DISTANCE,
    AnnotationFile,
    LabelColumns,
    NumClasses,
    Row,
    RowChecker,
    open_annotations,
)
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS

GLOSS = "gloss"
"""The name of the only label column of a file without a header."""


def read_labels(path: Path, separator: str | None = None) -> dict[str, list[int]]:
    """{head: label of every row}, in the order of the file's columns; MISSING where a row has no label.

    The columns are `name start end label...`. A header names the heads; without one, a single label is the
    gloss and eight are the heads of a HamNoSys notation.

    Args:
        separator: one character between the columns (quotes as in CSV); None = any whitespace.

    Raises:
        DataError: every invalid row as `file:line: what was found; what is expected`.
    """
    problems = Problems()
    file = read_notations(open_annotations(path, separator), problems)
    rows = list(file.rows)
    columns = _named_columns(file) if file.label_columns else _columns_by_count(path, rows, separator)
    reader = _LabelReader(RowChecker(file, columns, problems), columns.names)
    for line, fields in rows:
        reader.read(line, fields)
    problems.raise_any()
    return reader.labels


def _named_columns(file: AnnotationFile) -> LabelColumns:
    """The label columns of a header; their names become file names."""
    names, where = canonical_names(file, [*HEADS, DISTANCE, GLOSS]), f"{file.path}:{file.first_line}"
    problems = [
        f"{where}: column name {name!r}; expected letters, digits, '_', '-', '.' and spaces"
        for name in names
        if not name or not all(letter.isalnum() or letter in "_-. " for letter in name)
    ]
    counts = Counter(name.casefold() for name in names)
    problems += [f"{where}: {n} columns are called {name!r}; expected one" for name, n in counts.items() if n > 1]
    raise_problems(problems)
    return LabelColumns(names)


def _columns_by_count(path: Path, rows: Sequence[Row], separator: str | None) -> LabelColumns:
    """The label columns of a file whose header does not name them, from the most frequent number of columns."""
    usual = Counter(len(fields) for _, fields in rows).most_common(1)[0][0]
    if usual == 4:
        return LabelColumns([GLOSS])
    if usual in (3 + len(HEADS), 4 + len(HEADS)):
        return LabelColumns(list(HEADS), optional=1)
    line, fields = next(row for row in rows if len(row[1]) == usual)
    others = [mark for mark in (",", ";", "\t") if mark != separator and len(" ".join(fields).split(mark)) > 3]
    hint = f"; for {others[0]!r} between the columns give --separator {others[0]!r}" if others else ""
    raise DataError(
        f"{path}:{line}: {usual} columns; expected name start end and 1 label (gloss) or {len(HEADS)} (HamNoSys), "
        f"or a header that names the labels{hint}"
    )


class _LabelReader:
    """Collects the labels of rows."""

    def __init__(self, checker: RowChecker, columns: Sequence[str]):
        self.checker, self._columns = checker, columns
        is_hamnosys = not HEADS.keys().isdisjoint(columns)
        heads = [column for column in columns if not (is_hamnosys and column == DISTANCE)]
        self.labels: dict[str, list[int]] = {head: [] for head in heads}
        self._num_class: Mapping[str, NumClasses] = {
            head: HEADS[head].num_class if head in HEADS else "auto" for head in heads
        }

    def read(self, line: int, fields: Sequence[str]) -> None:
        """Adds the labels of a row, or reports why it is invalid."""
        if not self.checker.start_row(line, fields):
            return
        name = fields[0]
        if self.checker.is_plain_name(name):
            self.checker.is_first_row_of(normalise_name(name) or name)
        self.checker.frame_range(fields[1], fields[2])
        texts = dict(zip(self._columns, fields[3:], strict=False))
        for head, labels in self.labels.items():
            label = self.checker.label(head, texts[head], self._num_class[head])
            if label is not None:
                labels.append(label)
