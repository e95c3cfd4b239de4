"""Annotation rows -> clips. Every row is checked, and all problems are reported together."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from hearai.config.field_types import FrozenDict
from hearai.data.annotations.clip import Clip, normalise_name
from hearai.data.annotations.clip_files import OUTSIDE, ClipFiles
from hearai.data.annotations.frame_naming import OUR_NAMING, FrameNaming
from hearai.data.annotations.header import find_columns, read_notations
from hearai.data.annotations.metadata import SIGNERS, SPLITS, ClassNames, normalise_word, read_signers, read_splits
from hearai.data.annotations.problems import LineProblems, Problems
from hearai.data.annotations.row_reader import (
    HEADER,
    OPEN_END,
    AnnotationFile,
    NumClasses,
    RowChecker,
    find_annotations,
    open_annotations,
)
from hearai.data.annotations.text_files import quoted
from hearai.errors import DataError
from hearai.sign.hamnosys import HEADS, MISSING

Key = TypeVar("Key")


@dataclass(frozen=True)
class Rows:
    """The rows of an annotation file."""

    clips: list[Clip] = field(default_factory=list)
    """The clips of the valid rows."""
    lines: dict[str, int] = field(default_factory=dict)
    """{clip name: line of its first row}."""
    count: int = 0
    """All rows, valid or not."""
    words: ClassNames = field(default_factory=dict)
    """{head: {class: word}} of heads whose words were numbered here, since there is no class list."""


def read_annotations(
    folder: Path,
    annotation_file: str,
    heads: Mapping[str, NumClasses],
    *,
    frames: bool = True,
    landmarks: bool = False,
    dataset: str = "",
    frame_pattern: str | None = None,
    follow_symlinks: bool = False,
) -> list[Clip]:
    """The clips of a dataset folder, in the order of its annotation file.

    Args:
        heads: {head: number of classes, or "auto" to allow any label from 0 on}; {} = no labels are read.
        frames: the images of each clip must exist.
        landmarks: the landmarks file of each clip must exist. With neither, only the rows are checked.
        dataset: the clips' `dataset`.
        frame_pattern, follow_symlinks: see `ClipFiles`.

    Raises:
        DataError: every invalid row as `file:line: what was found; what is expected`.
    """
    problems = Problems()
    files = None
    if folder.is_dir():
        files = ClipFiles(
            folder, frames=frames, landmarks=landmarks, frame_pattern=frame_pattern, follow_symlinks=follow_symlinks
        )
    rows = read_rows(folder, annotation_file, heads, problems, files=files, dataset=dataset)
    problems.raise_any()
    return rows.clips


def read_rows(
    folder: Path,
    annotation_file: str,
    heads: Mapping[str, NumClasses],
    problems: Problems,
    *,
    files: ClipFiles | None = None,
    dataset: str = "",
) -> Rows:
    """Like `read_annotations`, but collects the problems of rows and returns the clips of the valid ones.

    Args:
        files: checks each clip's folder; None = only the rows are checked.

    Raises:
        DataError: the file is unusable (missing, empty, not text, a header with only some of the heads).
    """
    file = open_annotations(find_annotations(folder, annotation_file))
    if not HEADS.keys().isdisjoint(heads):
        file = read_notations(file, problems)
    reader = _ClipReader(folder, file, heads, problems, files, dataset)
    for line, fields in file.rows:
        reader.read(line, fields)
    return Rows(reader.clips, reader.checker.first_lines, reader.count, reader.checker.words.numbered)


def read_joined_rows(
    folder: Path,
    heads_of_file: Mapping[str, Mapping[str, NumClasses]],
    problems: Problems,
    *,
    files: ClipFiles | None = None,
    dataset: str = "",
) -> Rows:
    """Like `read_rows`, of several annotation files: a clip that a file does not name lacks the labels of its heads.

    Args:
        heads_of_file: {annotation file: its heads}; not all have to be there.

    Raises:
        DataError: as `read_rows`; or none of the files is there.
    """
    found = {file: heads for file, heads in heads_of_file.items() if os.path.lexists(folder / file)}
    if not found and len(heads_of_file) > 1 and folder.is_dir():
        raise DataError(
            f"{folder}: contains neither {' nor '.join(heads_of_file)}; add one, or set "
            "general_parameters.annotation_file to the name of a file with the labels of all heads"
        )
    all_heads = [head for heads in heads_of_file.values() for head in heads]
    joined = Rows()
    for file, heads in (found or heads_of_file).items():
        rows = read_rows(folder, file, heads, problems, files=files, dataset=dataset)
        joined = _join(joined, rows, folder / file, problems) if joined.count else rows
    return joined if len(heads_of_file) == 1 else replace(joined, clips=_with_heads(joined.clips, all_heads))


def _join(joined: Rows, rows: Rows, path: Path, problems: Problems) -> Rows:
    """path: of the file of `rows`."""
    clips = {clip.name: clip for clip in joined.clips}
    lines = LineProblems(path, problems)
    for clip in rows.clips:
        other = clips.get(clip.name)
        if other is not None and (other.start, other.end) != (clip.start, clip.end):
            lines.line = rows.lines[clip.name]
            given = f"clip {quoted(clip.name)} has the frames {clip.start}..{clip.end}"
            expected = f"expected {other.start}..{other.end}, as in another annotation file of this folder"
            lines.add("frames that differ between annotation files", given, expected)
        labels = clip.labels if other is None else FrozenDict({**other.labels, **clip.labels})
        clips[clip.name] = replace(clip, labels=labels)
    first_lines = {**rows.lines, **joined.lines}
    return Rows(list(clips.values()), first_lines, joined.count + rows.count, {**joined.words, **rows.words})


def _with_heads(clips: Sequence[Clip], heads: Sequence[str]) -> list[Clip]:
    """The clips with labels of all heads, in their order, MISSING where a clip had none; equal ones are shared."""
    shared: dict[tuple[int, ...], FrozenDict] = {}
    complete = []
    for clip in clips:
        values = tuple(clip.labels.get(head, MISSING) for head in heads)
        labels = shared.setdefault(values, FrozenDict(zip(heads, values, strict=True)))
        complete.append(replace(clip, labels=labels))
    return complete


def number_over_union(files: Mapping[Key, Rows]) -> dict[Key, Rows]:
    """The rows of several files; the words of those without a class list are numbered together, in alphabetical order.

    Where only one of them has such words, nothing changes.
    """
    words: dict[str, set[str]] = {}
    for rows in files.values():
        for head, numbered in rows.words.items():
            words.setdefault(head, set()).update(map(normalise_word, numbered.values()))
    numbers = {head: {word: number for number, word in enumerate(sorted(found))} for head, found in words.items()}
    return {key: _renumbered(rows, numbers) for key, rows in files.items()}


def _renumbered(rows: Rows, numbers: Mapping[str, Mapping[str, int]]) -> Rows:
    """numbers: {head: {normalised word: its number}}."""
    changes = {
        head: {before: numbers[head][normalise_word(word)] for before, word in numbered.items()}
        for head, numbered in rows.words.items()
    }
    if all(before == now for change in changes.values() for before, now in change.items()):
        return rows
    words = {
        head: {changes[head][before]: word for before, word in numbered.items()}
        for head, numbered in rows.words.items()
    }
    shared = {
        labels: FrozenDict({head: changes.get(head, {}).get(label, label) for head, label in labels.items()})
        for labels in {clip.labels for clip in rows.clips}
    }
    return replace(rows, clips=[replace(clip, labels=shared[clip.labels]) for clip in rows.clips], words=words)


def _unchecked(*_: object) -> tuple[None, FrameNaming]:
    return None, OUR_NAMING


class _ClipReader:
    """Turns rows into clips and collects what is wrong with them."""

    def __init__(
        self,
        folder: Path,
        file: AnnotationFile,
        heads: Mapping[str, NumClasses],
        problems: Problems,
        files: ClipFiles | None,
        dataset: str,
    ):
        columns = find_columns(heads, file)
        self.folder, self.heads, self.files, self.dataset = folder, heads, files, dataset
        self.checker = RowChecker(file, columns, problems)
        self.signers = read_signers(file.path.parent / SIGNERS, problems)
        self.splits = read_splits(file.path.parent / SPLITS, problems)
        self.clips: list[Clip] = []
        self.count = 0
        self._positions = [len(HEADER) + columns.names.index(head) for head in heads]
        self._shared_labels: dict[str, FrozenDict] = {}
        self._valid_labels: list[dict[str, int]] = [{} for _ in heads]
        """{text: label} of the valid texts so far, for each head."""

    def read(self, line: int, fields: list[str]) -> None:
        """Adds the clip of a row, or reports why it is invalid."""
        self.count += 1
        if not self.checker.start_row(line, fields):
            return
        name = self._name(fields[0])
        frame_range, labels = self.checker.frame_range(*fields[1:3]), self._labels(fields)
        if name is None or frame_range is None:
            return
        if frame_range[1] == OPEN_END and self.files:
            last = self.files.last_frame(name, frame_range[0])
            frame_range = frame_range[0], frame_range[0] if last is None else last
        check = self.files.check if self.files else _unchecked
        fps, naming = check(name, *frame_range, self.checker.problems)
        if labels is not None:
            signer, split = (table.get(name) if table is not None else None for table in (self.signers, self.splits))
            clip = Clip(name, self.folder, *frame_range, labels, signer, fps, self.dataset, naming, split)
            self.clips.append(clip)

    def _labels(self, fields: list[str]) -> FrozenDict | None:
        """One mapping for all rows with the same labels; texts that were valid before are not checked again."""
        key = " ".join([fields[position] for position in self._positions])
        labels = self._shared_labels.get(key)
        if labels is None:
            columns = zip(self.heads, self._valid_labels, self._positions, strict=True)
            try:
                labels = FrozenDict({head: valid[fields[position]] for head, valid, position in columns})
            except KeyError:
                labels = self._check_labels(fields)
            if labels is not None:
                self._shared_labels[key] = labels
        return labels

    def _check_labels(self, fields: list[str]) -> FrozenDict | None:
        labels = {}
        columns = zip(self.heads.items(), self._valid_labels, self._positions, strict=True)
        for (head, num_class), valid, position in columns:
            label = self.checker.label(head, fields[position], num_class)
            if label is not None:
                labels[head] = valid[fields[position]] = label
        return FrozenDict(labels) if len(labels) == len(self.heads) else None

    def _name(self, text: str) -> str | None:
        """The clip's name; None if it is invalid, a duplicate, or missing in a table of the folder."""
        if not self.checker.is_plain_name(text):
            return None
        name = normalise_name(text)
        if name is None:
            target = os.path.abspath(os.path.join(self.folder, text))
            found = f"name {quoted(text)} (to {target}) is outside the dataset folder"
            self.checker.problems.add(OUTSIDE, found, "expected a folder inside it")
            return None
        if not self.checker.is_first_row_of(name):
            return None
        missing = False
        for table, file, column in ((self.signers, SIGNERS, "signer"), (self.splits, SPLITS, "split")):
            if table is not None and name not in table:
                found = f"clip {quoted(name)} is missing in {file}"
                self.checker.problems.add(f"clips without a {column}", found, f"expected a row name,{column} there")
                missing = True
        return None if missing else name
