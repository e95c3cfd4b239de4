"""Finds the label columns of an annotation file: by the names in its header, or without names by position.

A column `hamnosys` with strings of the notation stands for the eight columns of its heads.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from hearai.data.annotations.problems import LineProblems, Problems
from hearai.data.annotations.row_reader import DISTANCE, HEADER, AnnotationFile, LabelColumns, NumClasses, Row
from hearai.data.annotations.text_files import quoted
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS, NotationError, parse

NOTATION = "hamnosys"
"""A column of strings of the notation."""

ALIASES = {"glossid": "gloss"}
"""{simplified name of a column: simplified name of the head}."""


def simplified(name: str) -> str:
    """The name without case and punctuation: `Hand-location Y` is hand_location_y."""
    plain = re.sub(r"[\W_]", "", name).casefold()
    return ALIASES.get(plain, plain)


def is_named(file: AnnotationFile, name: str) -> bool:
    """Whether the header names such a label column."""
    return simplified(name) in map(simplified, file.label_columns)


def find_columns(heads: Mapping[str, NumClasses], file: AnnotationFile) -> LabelColumns:
    """The label columns; the ones of `heads` have the names of `heads`.

    Names are compared without case and punctuation. A header without names of labels (`name start end`) leaves the
    columns to their position, as no header does: the eight HamNoSys heads in their order, or `heads` in theirs.

    Raises:
        DataError: the header names labels but not every head, or one twice. Reading by position would then put labels
            on other heads.
    """
    if file.label_columns:
        return LabelColumns(canonical_names(file, heads, required=True))
    if not heads:
        return LabelColumns([f"label {i + 1}" for i in range(len(file.first_row) - len(HEADER))])
    # A hamnosys group may train only some of the eight heads; the file contains all of them, and older
    # files a ninth column DISTANCE.
    return LabelColumns(list(HEADS), optional=1) if set(heads) <= set(HEADS) else LabelColumns(list(heads))


def canonical_names(file: AnnotationFile, heads: Iterable[str], *, required: bool = False) -> list[str]:
    """The header's names of the label columns, in the spelling of `heads` where one of them is meant.

    Args:
        required: every one of `heads` must be named.

    Raises:
        DataError: two columns name the same head, or one of the required heads is missing.
    """
    spelling = {simplified(head): head for head in heads}
    names = [spelling.get(simplified(name), name) for name in file.label_columns]
    where = f"{file.path}:{file.first_line}"
    twice = [name for name, count in Counter(map(simplified, names)).items() if name and count > 1]
    problems = [_twice(where, [name for name in file.label_columns if simplified(name) == one]) for one in twice]
    if required and (absent := [head for head in spelling.values() if head not in names]):
        problems.append(_absent(where, absent, names, spelling.values()))
    if problems:
        raise DataError(problems)
    return names


def _twice(where: str, names: Sequence[str]) -> str:
    return f"{where}: columns {' and '.join(map(quoted, names))} name the same label; expected one column for each head"


def _absent(where: str, absent: Sequence[str], names: Sequence[str], heads: Iterable[str]) -> str:
    known = {*heads, *HEADS, DISTANCE}
    unknown = [quoted(name) for name in names if name not in known]
    named = [name for name in names if name in known]
    found = f"the header names {', '.join(named) or 'none of the heads'} but not {', '.join(absent)}"
    hint = f"; unknown: {', '.join(unknown)}" if unknown else ""
    return f"{where}: {found}{hint}; name every head, or remove the names after `end` to read by position"


def read_notations(file: AnnotationFile, problems: Problems) -> AnnotationFile:
    """The file with eight numbers in place of each string, if its header names the column and none of the heads.

    A row whose string cannot be read is left out, and added to `problems` with the position and the symbol while the
    rows are iterated over.
    """
    if not is_named(file, NOTATION) or any(is_named(file, head) for head in HEADS):
        return file
    columns = file.first_row
    place = len(HEADER) + [simplified(name) for name in file.label_columns].index(NOTATION)
    header = [*columns[:place], *HEADS, *columns[place + 1 :]]
    lines = LineProblems(file.path, problems)
    rows = _expanded(file.rows, columns, place, lines)
    return replace(file, first_row=header, rows=rows, reopen=partial(_reopen, file))


def _reopen(file: AnnotationFile) -> AnnotationFile:
    """With eight numbers again; what is wrong with its strings is reported while the rows are read first."""
    return read_notations(file.reopen(), Problems())


def _expanded(rows: Iterator[Row], columns: Sequence[str], place: int, problems: LineProblems) -> Iterator[Row]:
    for line, fields in rows:
        problems.line = line
        if len(fields) != len(columns):
            found, expected = f"{len(fields)} columns", f"expected {len(columns)}: {' '.join(columns)}"
            problems.add("wrong number of columns", found, expected)
            continue
        try:
            labels = parse(fields[place]).labels.values()
        except NotationError as error:
            found, _, expected = str(error).partition("; ")
            problems.add("invalid HamNoSys", f"clip {quoted(fields[0])}: {found}", expected)
            continue
        yield line, [*fields[:place], *map(str, labels), *fields[place + 1 :]]
