"""Reads annotation files in order to write them again with other starts and ends."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.metadata import CLASSES, GLOSSES, SIGNERS, SPLITS
from hearai.data.annotations.problems import raise_problems
from hearai.data.annotations.row_reader import find_annotations, open_annotations, outside_folder
from hearai.data.annotations.rows import read_annotations
from hearai.errors import DataError
from hearai.files import atomic_write_text, csv_text

DEFAULT_FILES = ("test_hamnosys.txt", "test_gloss.txt")
SIDE_FILES = (SIGNERS, SPLITS, GLOSSES, CLASSES)


@dataclass(frozen=True)
class Table:
    """An annotation file: its clips, and the text of their labels."""

    file: str
    """Path in the dataset folder."""
    header: Sequence[str] | None
    clips: Sequence[Clip]
    labels: Sequence[Sequence[str]]
    """What follows name, start and end in each clip's row."""
    separator: str | None
    """Between the columns; None = any whitespace."""

    def write(self, path: Path, kept: Mapping[str, Sequence[int]]) -> None:
        """Writes the rows of the clips in {clip name: increasing old numbers of the kept frames}, renumbered."""
        rows = [] if self.header is None else [list(self.header)]
        for clip, labels in zip(self.clips, self.labels, strict=True):
            if clip.name in kept:
                start = sum(number < clip.start for number in kept[clip.name])
                end = sum(number <= clip.end for number in kept[clip.name]) - 1
                rows.append([clip.name, str(start), str(end), *labels])
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, self._text(rows))

    def _text(self, rows: Iterable[Sequence[str]]) -> str:
        if self.separator is None:
            return "\n".join(map(" ".join, rows)) + "\n"
        return csv_text(rows, self.separator)


def read_tables(
    data_dir: Path,
    annotation_file: str | None = None,
    *,
    frame_pattern: str | None = None,
    follow_symlinks: bool = False,
) -> list[Table]:
    """The given annotation file, or those of DEFAULT_FILES that exist; their label columns are only copied.

    frame_pattern, follow_symlinks: see `ClipFiles`.

    Raises:
        DataError: everything that is wrong with them, or none of them exists.
    """
    if annotation_file is not None and (problem := outside_folder(data_dir, annotation_file)):
        raise DataError(problem)
    files = [name for name in DEFAULT_FILES if os.path.lexists(data_dir / name)]
    if annotation_file is not None or not files:
        files = [annotation_file or DEFAULT_FILES[0]]
    tables, problems = [], []
    for file in files:
        try:
            tables.append(_read_table(data_dir, file, frame_pattern, follow_symlinks))
        except DataError as error:
            problems += error.problems
    raise_problems(problems)
    return tables


def copy_side_files(data_dir: Path, out_dir: Path, tables: Iterable[Table]) -> None:
    """Copies signers, splits and class lists of the dataset folder and of the folders of the annotation files."""
    folders = {PurePath(), *(PurePath(table.file).parent for table in tables)}
    for path in sorted(folder / name for folder in folders for name in SIDE_FILES):
        if (data_dir / path).is_file():
            shutil.copyfile(data_dir / path, out_dir / path)


def _read_table(data_dir: Path, file: str, frame_pattern: str | None, follow_symlinks: bool) -> Table:
    annotations = open_annotations(find_annotations(data_dir, file))
    header = annotations.first_row if annotations.has_header else None
    labels = [fields[3:] for _, fields in annotations.rows]
    clips = read_annotations(data_dir, file, {}, frame_pattern=frame_pattern, follow_symlinks=follow_symlinks)
    return Table(file, header, clips, labels, annotations.separator)
