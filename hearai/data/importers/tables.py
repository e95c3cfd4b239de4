"""Reads metadata files of public datasets: CSV tables and JSON, with bounds on their size and depth."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hearai.data.annotations.text_files import quoted, read_lines
from hearai.errors import DataError

MAX_BYTES = 100_000_000
"""Of one metadata file; the largest of the public ones has 15 MB."""


def read_json(path: Path) -> list[dict[str, Any]]:
    """The entries of a JSON file: a list of objects.

    Raises:
        DataError: it cannot be read, is far too large or too deep, or contains something else.
    """
    _check_size(path)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot read ({error.strerror}); expected a JSON file") from None
    except RecursionError:
        raise DataError(f"{path}: nested too deeply; expected a JSON list of objects") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); expected a JSON list of objects") from None
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise DataError(f"{path}: contains {_kind(content)}; expected a JSON list of objects")
    return content


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of every row that is not blank; separated by tabs, semicolons or commas, as the first row is.

    Raises:
        DataError: the file cannot be read, is far too large, not text, or not a table.
    """
    _check_size(path)
    separator = _separator(path)
    reader = csv.reader((line for _, line in read_lines(path)), delimiter=separator, strict=True)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}; expected a CSV file") from None


def read_records(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line, {column: value}) of every row of a table with a header; names of columns are compared without case.

    Raises:
        DataError: as `read_rows`, or the header lacks one of the required columns or has one twice.
    """
    rows = read_rows(path)
    line, header = next(rows, (1, []))
    lower = [name.lower() for name in header]
    wanted = [*required, *optional]
    problems = [f"lacks the column {quoted(name)}" for name in required if name.lower() not in lower]
    problems += [f"has the column {quoted(name)} twice" for name in wanted if lower.count(name.lower()) > 1]
    if problems:
        shown = quoted(",".join(header)) if header else "missing"
        raise DataError([f"{path}:{line}: the header {problem} (it is {shown})" for problem in problems])
    places = {name: lower.index(name.lower()) for name in wanted if name.lower() in lower}
    for line, fields in rows:
        yield line, {name: fields[place] if place < len(fields) else "" for name, place in places.items()}


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: not a file; expected the metadata of the dataset")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise DataError(f"{path}: {size / 1e6:,.0f} MB; expected metadata of at most {MAX_BYTES / 1e6:,.0f} MB")


def _separator(path: Path) -> str:
    first = next((line for _, line in read_lines(path) if line.strip()), "")
    return next((mark for mark in "\t;" if mark in first), ",")


def _kind(content: Any) -> str:
    if isinstance(content, list):
        return "a list of other values"
    return "an object" if isinstance(content, dict) else "a single value"
