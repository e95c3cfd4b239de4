"""The tables of a dataset folder: signers.csv, splits.csv, and the class names in glosses.csv and classes.csv."""

import csv
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hearai.data.annotations.clip import MAX_CLASSES, normalise_name
from hearai.data.annotations.problems import LineProblems, Problems
from hearai.data.annotations.text_files import has_control_characters, is_integer, quoted, read_lines
from hearai.errors import DataError
from hearai.files import atomic_write_text, csv_text
from hearai.sign.hamnosys import HEADS

SIGNERS, SPLITS, GLOSSES, CLASSES = "signers.csv", "splits.csv", "glosses.csv", "classes.csv"
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""{word for a split, in lower case: the split}"""

WORD_COLUMNS = ("word", "gloss", "name")
"""Columns of glosses.csv that may contain the word; the first one that exists is used."""

READ_COLUMNS = ("gloss_id", "head", "class", *WORD_COLUMNS)
"""Columns of class lists that are read; each may occur once."""

ClassNames = dict[str, dict[int, str]]
"""{head: {class: name}}"""

HAMNOSYS: ClassNames = {head.name: {c.index: c.meaning for c in head.classes} for head in HEADS.values()}
"""The meaning of the classes of the eight HamNoSys heads."""

INVALID_SIGNERS = f"invalid rows of {SIGNERS}"
INVALID_SPLITS = f"invalid rows of {SPLITS}"
INVALID_CLASSES = "invalid class lists"
CLASHES = "classes with two names"

_ClassRow = tuple[int, str, str, str]
"""(line, head, class, name)"""


def read_signers(path: Path, problems: Problems) -> dict[str, str] | None:
    """{clip name: signer} of the CSV rows `name,signer`; None if the file does not exist.

    A first row with `name` and `signer` is a header: they may be in any order, and further columns are ignored.
    Signers whose names differ in case, spaces or Unicode form are the same: as two, they would be in two splits.

    Raises:
        DataError: the file cannot be read or is not text.
    """
    return _read_pairs(path, "signer", INVALID_SIGNERS, problems)


def read_splits(path: Path, problems: Problems) -> dict[str, str] | None:
    """{clip name: "train", "val" or "test"} of the CSV rows `name,split` (header optional); None without the file.

    Raises:
        DataError: the file cannot be read or is not text.
    """
    return _read_pairs(path, "split", INVALID_SPLITS, problems, SPLIT_WORDS)


def _read_pairs(
    path: Path, column: str, kind: str, problems: Problems, words: Mapping[str, str] | None = None
) -> dict[str, str] | None:
    """{clip name: value} of rows `name,value`. words: the possible values, compared without case.

    A first row with both names is a header: they may be in any order, and further columns are ignored.
    """
    if not os.path.lexists(path):  # a symlink to nothing is a mistake, not a dataset without the table
        return None
    at = LineProblems(path, problems)
    values: dict[str, str] = {}
    shared: dict[str, str] = {}
    name_at, value_at, width = 0, 1, 2
    rows = ((number, line) for number, line in read_lines(path) if line.strip())
    for row, (number, line) in enumerate(rows):
        at.line = number
        fields = _split_row(line)
        header = [field.lower() for field in fields]
        if row == 0 and header.count("name") == header.count(column) == 1:
            name_at, value_at, width = header.index("name"), header.index(column), len(header)
            continue
        pair = [fields[name_at], fields[value_at]] if len(fields) == width else []
        if not pair or not all(pair) or any(map(has_control_characters, pair)):
            at.add(kind, f"found {quoted(line)}", f"expected name,{column}")
            continue
        value = words.get(pair[1].lower()) if words else shared.setdefault(normalise_word(pair[1]), pair[1])
        if value is None:
            allowed = ", ".join(dict.fromkeys((words or {}).values()))
            at.add(kind, f"{column} {quoted(pair[1])}", f"expected {allowed}")
            continue
        name = normalise_name(pair[0]) or pair[0]
        if values.setdefault(name, value) != value:
            at.add(kind, f"{name} has a second {column} {quoted(value)}", "expected one")
    return values


def _split_row(line: str) -> list[str]:
    """The fields of a CSV row; [] if a quote is not closed."""
    mark = _separator(line)
    try:  # line by line, so that a stray quote spoils one row and not the rest of the file
        return [field.strip() for field in next(csv.reader([line], delimiter=mark, skipinitialspace=True, strict=True))]
    except (csv.Error, StopIteration):
        return []


def _separator(line: str) -> str:
    """A comma; a semicolon or a tab where there is no comma."""
    return next((mark for mark in (",", ";", "\t") if mark in line), ",")


def class_name(names: Mapping[str, Mapping[int, str]], head: str, index: int) -> str:
    """The name of a class; its number if no list names it."""
    return names.get(head, {}).get(index, str(index))


def read_class_names(folder: Path) -> ClassNames:
    """The class lists of a dataset folder: glosses.csv and classes.csv in it, else in its parent folder.

    glosses.csv has a header with `gloss_id` and one of `word`, `gloss`, `name`, and names the head `gloss`;
    classes.csv has the header `head,class,name`. Further columns are ignored. Without lists: {}.

    Raises:
        DataError: every invalid row as `file:line: what was found; what is expected`.
    """
    problems = Problems()
    names = collect_class_names(folder, problems)
    problems.raise_any()
    return names


def collect_class_names(folder: Path, problems: Problems) -> ClassNames:
    """Like `read_class_names`, but collects the problems."""
    names: ClassNames = {}
    for file, read in ((GLOSSES, _gloss_rows), (CLASSES, _class_rows)):
        candidates = (parent / file for parent in (folder, folder.absolute().parent))
        path = next((candidate for candidate in candidates if os.path.lexists(candidate)), None)
        if path is None:
            continue
        at = LineProblems(path, problems)
        try:
            for row in read(path):
                _add_name(names, row, at)
        except DataError as error:
            problems.add_all(INVALID_CLASSES, error.problems)
    return names


def read_class_list(path: Path) -> ClassNames:
    """The names in a file with the columns of `classes.csv`.

    Raises:
        DataError: every invalid row.
    """
    names, problems = ClassNames(), Problems()
    at = LineProblems(path, problems)
    for row in _class_rows(path):
        _add_name(names, row, at)
    problems.raise_any()
    return names


def write_class_list(names: Mapping[str, Mapping[int, str]], path: Path) -> None:
    """Writes the names for `read_class_list`, without those of HamNoSys heads, which cannot change."""
    heads = sorted(names.keys() - HEADS.keys())
    rows = [[head, number, name] for head in heads for number, name in sorted(names[head].items())]
    atomic_write_text(path, csv_text([["head", "class", "name"], *rows]))


def class_names(lists: Mapping[str, Mapping[str, Mapping[int, str]]], heads: Iterable[str]) -> ClassNames:
    """Merges the class lists of several datasets; HamNoSys heads have the names of `hearai/sign/hamnosys/heads.py`.

    Args:
        lists: {dataset: result of `read_class_names`}.
        heads: the heads to return; one without a list is left out.

    Raises:
        DataError: every class to which two datasets give different names.
    """
    problems, heads = Problems(), set(heads)
    merged = {head: dict(names) for head, names in HAMNOSYS.items() if head in heads}
    origin: dict[tuple[str, int], str] = {}
    for dataset, dataset_names in lists.items():
        for head in heads & dataset_names.keys():
            for number, name in dataset_names[head].items():
                first = merged.setdefault(head, {}).setdefault(number, name)
                first_dataset = origin.setdefault((head, number), dataset)
                if not _is_same_name(first, name):
                    found = f"{head} {number} is {quoted(first)} in {first_dataset} and {quoted(name)} in {dataset}"
                    problems.add(CLASHES, f"class lists: {found}; a number must mean the same word in all datasets")
    problems.raise_any()
    return merged


def normalise_word(name: str) -> str:
    """The form in which names of classes are compared: without case, outer and repeated spaces, in composed Unicode."""
    return unicodedata.normalize("NFC", " ".join(name.split()).casefold())


def list_file(head: str) -> str:
    """The file that names the classes of a head, with its columns."""
    return f"{GLOSSES} (gloss_id,word)" if head == "gloss" else f"{CLASSES} (head,class,name)"


def _is_same_name(one: str, other: str) -> bool:
    return normalise_word(one) == normalise_word(other)


def _add_name(names: ClassNames, row: _ClassRow, problems: LineProblems) -> None:
    line, head, number, name = row
    problems.line = line
    if not is_integer(number) or not 0 <= int(number) < MAX_CLASSES:
        problems.add(INVALID_CLASSES, f"class {quoted(number)}", f"expected a number of 0..{MAX_CLASSES - 1}")
    elif not head or not name or has_control_characters(head + name):
        problems.add(INVALID_CLASSES, f"head {quoted(head)}, name {quoted(name)}", "expected plain text")
    elif head in HEADS:
        problems.add(INVALID_CLASSES, f"{head} is a HamNoSys head", "its classes cannot be renamed")
    elif not _is_same_name(first := names.setdefault(head, {}).setdefault(int(number), name), name):
        problems.add(CLASHES, f"{head} {number} is {quoted(name)}, and {quoted(first)} above", "expected one name")


def _gloss_rows(path: Path) -> Iterator[_ClassRow]:
    rows = _csv_rows(path)
    _, header = next(rows)
    word = next((column for column in WORD_COLUMNS if column in header), None)
    if "gloss_id" not in header or word is None:
        expected = f"expected columns gloss_id and one of {', '.join(WORD_COLUMNS)}"
        raise DataError(f"{path}:1: the header is {quoted(','.join(header))}; {expected}")
    number_column, name_column = header.index("gloss_id"), header.index(word)
    for line, fields in rows:
        yield line, "gloss", _field(fields, number_column), _field(fields, name_column)


def _class_rows(path: Path) -> Iterator[_ClassRow]:
    rows = _csv_rows(path)
    _, header = next(rows)
    if missing := [column for column in ("head", "class", "name") if column not in header]:
        raise DataError(f"{path}:1: the header lacks {', '.join(missing)}; expected head,class,name")
    head, number, name = (header.index(column) for column in ("head", "class", "name"))
    for line, fields in rows:
        yield line, _field(fields, head), _field(fields, number), _field(fields, name)


def _field(fields: list[str], column: int) -> str:
    return fields[column] if column < len(fields) else ""


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of every row that is not blank; the first one, the header, in lower case."""
    lines = [line for _, line in read_lines(path)]
    header = next((line for line in lines if line.strip()), "")
    reader = csv.reader(lines, strict=True, delimiter=_separator(header), skipinitialspace=True)
    is_header = True
    try:
        for row in reader:
            fields = [text.strip() for text in row]
            if not any(fields):
                continue
            if is_header:
                fields = [text.lower() for text in fields]
                if repeated := [name for name in READ_COLUMNS if fields.count(name) > 1]:
                    raise DataError(f"{path}:{reader.line_num}: two columns {quoted(repeated[0])}; expected one")
            yield reader.line_num, fields
            is_header = False
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}; expected a CSV file") from None
    if is_header:
        raise DataError(f"{path}: empty; expected a header and one row per class")
