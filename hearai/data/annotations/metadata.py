"""What the class numbers mean: HamNoSys tables, `glosses.csv`, `classes.csv`."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hearai.data.annotations.clip import MAX_CLASSES, tidy_name
from hearai.data.annotations.problems import Problems
from hearai.data.annotations.text_files import has_control, is_whole, lines_of, shown
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS

GLOSSES, CLASSES = "glosses.csv", "classes.csv"
WORDS = ("word", "gloss", "name")
"""Columns of glosses.csv that may hold the word; the first one that is there does."""

ClassNames = dict[str, dict[int, str]]
"""{head: {class: name}}"""

HAMNOSYS: ClassNames = {head.name: {c.index: c.meaning for c in head.classes} for head in HEADS.values()}
"""The meaning of the classes of the eight HamNoSys heads."""

CLASHES = "classes with two names"


def class_name(names: Mapping[str, Mapping[int, str]], head: str, index: int) -> str:
    """The name of a class; its number where no list names it."""
    return names.get(head, {}).get(index, str(index))


def read_class_names(folder: Path) -> ClassNames:
    """The class lists of a dataset folder: glosses.csv and classes.csv in it, else in the folder it lies in.

    glosses.csv has a header with `gloss_id` and one of `word`, `gloss`, `name`, and names the head `gloss`;
    classes.csv has the header `head,class,name`. Further columns are passed over. Without lists: {}.

    Raises:
        DataError: every wrong row as `file:line: what was found; what is allowed`.
    """
    problems = Problems()
    names = collect_class_names(folder, problems)
    problems.raise_any()
    return names


def collect_class_names(folder: Path, problems: Problems) -> ClassNames:
    """`read_class_names` that collects the problems."""
    names: ClassNames = {}
    for file, read in ((GLOSSES, _gloss_rows), (CLASSES, _class_rows)):
        path = next((place / file for place in (folder, folder.absolute().parent) if (place / file).is_file()), None)
        if path is None:
            continue
        try:
            for line, head, number, name in read(path):
                _add(names, (head, number, name), f"{path}:{line}", problems)
        except DataError as error:
            problems.add_all("class lists", error.problems)
    return names


def class_names(lists: Mapping[str, Mapping[str, Mapping[int, str]]], heads: Iterable[str]) -> ClassNames:
    """The class lists of several datasets in one; HamNoSys heads get the names of `hearai/sign/hamnosys.py`.

    Args:
        lists: {dataset: what `read_class_names` found}.
        heads: the heads that are named in the outcome; a head that no list names is left out.

    Raises:
        DataError: every class that two datasets give different names.
    """
    problems, heads = Problems(), set(heads)
    merged = {head: dict(names) for head, names in HAMNOSYS.items() if head in heads}
    origin: dict[tuple[str, int], str] = {}
    for dataset, of_dataset in lists.items():
        for head in heads & of_dataset.keys():
            for number, name in of_dataset[head].items():
                first = merged.setdefault(head, {}).setdefault(number, name)
                before = origin.setdefault((head, number), dataset)
                if not _same(first, name):
                    found = f"{head} {number} is {shown(first)} in {before} and {shown(name)} in {dataset}"
                    problems.add(CLASHES, f"class lists: {found}; one number must mean one word in all datasets")
    problems.raise_any()
    return merged


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _add(names: ClassNames, row: tuple[str, str, str], where: str, problems: Problems) -> None:
    head, number, name = row
    if not is_whole(number) or not 0 <= int(number) < MAX_CLASSES:
        problems.add("class lists", f"{where}: class {shown(number)}; a number of 0..{MAX_CLASSES - 1} is due")
    elif not head or not name or has_control(head + name):
        problems.add("class lists", f"{where}: head {shown(head)}, name {shown(name)}; plain words are due")
    elif head in HEADS:
        problems.add("class lists", f"{where}: {head} is a HamNoSys head; its classes cannot be named anew")
    elif not _same(first := names.setdefault(head, {}).setdefault(int(number), name), name):
        found = f"{head} {number} is {shown(name)} and before {shown(first)}"
        problems.add(CLASHES, f"{where}: {found}; one name a class is allowed")


def _gloss_rows(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """(line, head, class, name)"""
    rows = _rows(path)
    _, header = next(rows)
    word = next((column for column in WORDS if column in header), None)
    if "gloss_id" not in header or word is None:
        columns = f"`gloss_id` and one of {', '.join(WORDS)}"
        raise DataError(f"{path}:1: the header is {shown(','.join(header))}; {columns} are due")
    number, name = header.index("gloss_id"), header.index(word)
    for line, fields in rows:
        yield line, "gloss", _field(fields, number), _field(fields, name)


def _class_rows(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """(line, head, class, name)"""
    rows = _rows(path)
    _, header = next(rows)
    if absent := [column for column in ("head", "class", "name") if column not in header]:
        raise DataError(f"{path}:1: the header lacks {', '.join(absent)}; `head,class,name` is due")
    places = [header.index(column) for column in ("head", "class", "name")]
    for line, fields in rows:
        yield line, *(_field(fields, place) for place in places)


def _field(fields: list[str], place: int) -> str:
    return fields[place] if place < len(fields) else ""


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of every row that is not blank; the header, in small letters, is the first."""
    reader = csv.reader((line for _, line in lines_of(path)), strict=True)
    header_is_due = True
    try:
        for row in reader:
            fields = [text.strip() for text in row]
            if not any(fields):
                continue
            yield reader.line_num, [text.lower() for text in fields] if header_is_due else fields
            header_is_due = False
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}; a CSV file is due") from None
    if header_is_due:
        raise DataError(f"{path}: is empty; a header and one row a class are due")


SIGNERS = "signers.csv"


def read_signers(path: Path, problems: Problems) -> dict[str, str] | None:
    """{clip name: signer} of `name,signer` rows (header optional); None where the file does not exist.

    Raises:
        DataError: the file cannot be read, or is no text.
    """
    if not path.exists():
        return None
    signers: dict[str, str] = {}
    shared: dict[str, str] = {}
    for number, line in lines_of(path):
        fields = [text.strip() for text in line.split(",")]
        if not line.strip() or fields == ["name", "signer"]:
            continue
        if len(fields) != 2 or not all(fields) or any(map(has_control, fields)):
            problems.add(f"rows of {SIGNERS}", f"{path}:{number}: found {shown(line)}; `name,signer` is due")
            continue
        name, signer = tidy_name(fields[0]) or fields[0], shared.setdefault(fields[1], fields[1])
        if signers.setdefault(name, signer) != signer:
            found = f"{name} has a second signer {shown(signer)}"
            problems.add(f"rows of {SIGNERS}", f"{path}:{number}: {found}; one is allowed")
    return signers
