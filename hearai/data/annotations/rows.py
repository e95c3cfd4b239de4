"""Annotation rows -> Clip records. Every row is checked; all problems are told at once."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from hearai.config.validation import FrozenDict
from hearai.data.annotations.clip import (
    HEADER,
    MAX_CLASSES,
    Classes,
    Clip,
    tidy_name,
)
from hearai.data.annotations.clip_files import LEADS_OUT, ClipFiles
from hearai.data.annotations.metadata import SIGNERS, read_signers
from hearai.data.annotations.problems import Problems
from hearai.data.annotations.text_files import has_control, is_whole, lines_of, shown
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS, MISSING


@dataclass(frozen=True)
class Rows:
    """An annotation file, read."""

    clips: list[Clip] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    """{clip name: line of its first row}."""
    count: int = 0
    """Rows, right and wrong ones."""


def read_annotations(
    folder: Path,
    annotation_file: str,
    heads: Mapping[str, Classes],
    *,
    frames: bool = True,
    landmarks: bool = False,
    dataset: str = "",
) -> list[Clip]:
    """The clips of a dataset folder, in the order of its annotation file.

    Args:
        heads: {head: number of classes, or "auto" where any label from 0 on is welcome}.
        frames: the pictures of each clip must exist.
        landmarks: the landmarks file of each clip must exist. With neither, only the rows are checked.
        dataset: the clips' `dataset`.

    Raises:
        DataError: every wrong row as `file:line: what was found; what is allowed`.
    """
    problems = Problems()
    files = ClipFiles(folder, frames=frames, landmarks=landmarks) if folder.is_dir() else None
    rows = read_rows(folder, annotation_file, heads, problems, files=files, dataset=dataset)
    problems.raise_any()
    return rows.clips


def read_rows(
    folder: Path,
    annotation_file: str,
    heads: Mapping[str, Classes],
    problems: Problems,
    *,
    files: ClipFiles | None = None,
    dataset: str = "",
) -> Rows:
    """`read_annotations` that collects the problems of rows, and gives the clips of the right ones.

    Args:
        files: checks each clip's folder; None = only the rows are checked.

    Raises:
        DataError: the file as a whole is wrong (missing, empty, no text, a header of half the heads).
    """
    path = folder / annotation_file
    lines = rows_of(folder, path)
    number, first = next(lines)
    has_header = [text.lower() for text in first[:3]] == HEADER
    columns = _Columns.of(heads, f"{path}:{number}", first[3:] if has_header else [])
    reader = _RowReader(folder, path, heads, columns, problems, files, dataset)
    for line, fields in lines if has_header else chain([(number, first)], lines):
        reader.read(line, fields)
    if not reader.count:
        raise DataError(f"{path}: has no rows; give one `name start end label...` a clip")
    return Rows(reader.clips, reader.lines, reader.count)


def rows_of(folder: Path, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of every line of an annotation file that is not blank; at least one.

    Raises:
        DataError: the folder or the file is missing, or the file is empty or no text.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder; a dataset folder with {path.name} is due")
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in folder.glob("*.txt"))) or "no .txt file at all"
        raise DataError(
            f"{folder}: has no {path.name} (found {found}); add it, or name the right one in "
            "general_parameters.annotation_file"
        )
    is_empty = True
    for number, line in lines_of(path):
        if fields := line.split():
            is_empty = False
            yield number, fields
    if is_empty:
        raise DataError(f"{path}: is empty; give one row `name start end label...` a clip")


@dataclass(frozen=True)
class _Columns:
    """The label columns of an annotation file."""

    names: list[str]
    spare: int = 0
    """Columns that may follow and are not read."""

    @classmethod
    def of(cls, heads: Iterable[str], where: str, header: list[str]) -> "_Columns":
        """By name where the header names the heads, else by place."""
        if named := [head for head in heads if head in header]:
            if absent := [head for head in heads if head not in header]:
                raise DataError(
                    f"{where}: the header names {', '.join(named)} but not {', '.join(absent)}; "
                    "name every head, or none"
                )
            return cls(header)
        # A hamnosys group may train some of the eight heads; the file holds all of them, and older
        # files a ninth column `distance`.
        return cls(list(HEADS), spare=1) if set(heads) <= set(HEADS) else cls(list(heads))


class _RowReader:
    """Turns rows into clips and notes what is wrong with them."""

    def __init__(
        self,
        folder: Path,
        path: Path,
        heads: Mapping[str, Classes],
        columns: _Columns,
        problems: Problems,
        files: ClipFiles | None,
        dataset: str,
    ):
        self.folder, self.path, self.heads, self.columns = folder, path, heads, columns
        self.problems, self.files, self.dataset = problems, files, dataset
        self.signers = read_signers(path.parent / SIGNERS, problems)
        self.places = [3 + columns.names.index(head) for head in heads]
        self.clips: list[Clip] = []
        self.lines: dict[str, int] = {}
        self.count = 0
        self._line = 0
        self._shared: dict[str, FrozenDict] = {}
        self._known: list[dict[str, int]] = [{} for _ in heads]

    def read(self, line: int, fields: list[str]) -> None:
        """Adds the clip of a row, or notes why it has none."""
        self._line = line
        self.count += 1
        due = 3 + len(self.columns.names)
        if not due <= len(fields) <= due + self.columns.spare:
            names = " ".join([*HEADER, *self.columns.names])
            self._note("numbers of columns", f"{len(fields)} columns", f"{due} are due: {names}")
            return
        name = self._name(fields[0])
        range_, labels = self._range(*fields[1:3]), self._labels(fields)
        if name is None or range_ is None:
            return
        fps = self.files.check(name, *range_, self._note) if self.files else None
        if labels is not None:
            signer = self.signers.get(name) if self.signers is not None else None
            self.clips.append(Clip(name, self.folder, *range_, labels, signer, fps, self.dataset))

    def _note(self, kind: str, found: str, allowed: str) -> None:
        self.problems.add(kind, f"{self.path}:{self._line}: {found}; {allowed}")

    def _range(self, first: str, last: str) -> tuple[int, int] | None:
        if not (is_whole(first) and is_whole(last)):
            self._note("starts and ends", f"start {shown(first)}, end {shown(last)}", "two whole numbers are due")
            return None
        start, end = int(first), int(last)
        if 0 <= start <= end:
            return start, end
        self._note("starts and ends", f"start {start}, end {end}", "0 <= start <= end is due")
        return None

    def _labels(self, fields: list[str]) -> FrozenDict | None:
        """One mapping for all rows with the same labels; texts that were right before are not looked at again."""
        text = " ".join([fields[place] for place in self.places])
        labels = self._shared.get(text)
        if labels is None:
            pairs = zip(self.heads, self._known, self.places, strict=True)
            try:
                labels = FrozenDict({head: known[fields[place]] for head, known, place in pairs})
            except KeyError:
                labels = self._checked_labels(fields)
            if labels is not None:
                self._shared[text] = labels
        return labels

    def _checked_labels(self, fields: list[str]) -> FrozenDict | None:
        labels = {}
        for (head, num_class), known, place in zip(self.heads.items(), self._known, self.places, strict=True):
            top = (MAX_CLASSES if num_class == "auto" else num_class) - 1
            text = fields[place]
            if is_whole(text) and (0 <= int(text) <= top or int(text) == MISSING):
                labels[head] = known[text] = int(text)
            else:
                allowed = f"0..{top} or {MISSING} (missing) is allowed"
                self._note("labels", f"{head} has label {shown(text)}", allowed)
        return FrozenDict(labels) if len(labels) == len(self.heads) else None

    def _name(self, text: str) -> str | None:
        """The clip's name; None where it is none or was given before."""
        if has_control(text):
            self._note("clip names", f"name {shown(text)} holds a control character", "a plain folder name is due")
            return None
        name = tidy_name(text)
        if name is None:
            target = os.path.abspath(os.path.join(self.folder, text))
            found = f"name {shown(text)} (to {target}) leads out of the dataset folder"
            self._note(LEADS_OUT, found, "a folder inside it is due")
            return None
        first = self.lines.setdefault(name, self._line)
        if first != self._line:
            found = f"clip {shown(name)} was given before in line {first}"
            self._note("clips given twice", found, "one row a clip is allowed")
            return None
        if self.signers is not None and name not in self.signers:
            found = f"clip {shown(name)} is missing in {SIGNERS}"
            self._note("clips without signer", found, "a row `name,signer` there is due")
            return None
        return name
