"""Annotation files read to be written again with other starts and ends."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from hearai.data.annotations.clip import HEADER, Clip
from hearai.data.annotations.metadata import CLASSES, GLOSSES, SIGNERS
from hearai.data.annotations.problems import raise_problems
from hearai.data.annotations.rows import read_annotations
from hearai.errors import DataError
from hearai.files import write_whole

FILES = ("test_hamnosys.txt", "test_gloss.txt")
SIDE_FILES = (SIGNERS, GLOSSES, CLASSES)


@dataclass(frozen=True)
class Table:
    """An annotation file: its rows as they are, and the clips they stand for."""

    file: str
    """Path in the dataset folder."""
    header: str | None
    clips: Sequence[Clip]
    labels: Sequence[Sequence[str]]
    """What follows name, start and end in each clip's row."""

    def write(self, path: Path, kept: Mapping[str, Sequence[int]]) -> None:
        """Writes the rows of the clips in {clip name: rising old numbers of the kept frames}, with new numbers."""
        rows = [] if self.header is None else [self.header]
        for clip, labels in zip(self.clips, self.labels, strict=True):
            if clip.name in kept:
                start = sum(number < clip.start for number in kept[clip.name])
                end = sum(number <= clip.end for number in kept[clip.name]) - 1
                rows.append(" ".join([clip.name, str(start), str(end), *labels]))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, "\n".join(rows) + "\n")


def read_tables(data_dir: Path, annotation_file: str | None = None) -> list[Table]:
    """The named annotation file, or those of the usual names that are there, with whatever label columns they have.

    Raises:
        DataError: everything that is wrong with them, or no file is there.
    """
    if annotation_file is not None and (Path(annotation_file).is_absolute() or ".." in Path(annotation_file).parts):
        raise DataError(f"annotation file {annotation_file!r} leads out of {data_dir}; a file inside it is due")
    files = [name for name in FILES if (data_dir / name).is_file()]
    if annotation_file is not None or not files:
        files = [annotation_file or FILES[0]]
    tables, problems = [], []
    for file in files:
        try:
            tables.append(_read_table(data_dir, file))
        except DataError as error:
            problems += error.problems
    raise_problems(problems)
    return tables


def copy_side_files(data_dir: Path, out_dir: Path, tables: Iterable[Table]) -> None:
    """Copies signers and class lists from the dataset folder and from beside the annotation files."""
    folders = {PurePath(), *(PurePath(table.file).parent for table in tables)}
    for path in sorted(folder / name for folder in folders for name in SIDE_FILES):
        if (data_dir / path).is_file():
            shutil.copyfile(data_dir / path, out_dir / path)


def _read_table(data_dir: Path, file: str) -> Table:
    rows = _rows(data_dir / file)
    heads = {f"label {i}": "auto" for i in range(1, len(rows[0]) - 2)} if rows else {}
    clips = [replace(clip, name=PurePath(clip.name).as_posix()) for clip in read_annotations(data_dir, file, heads)]
    header = " ".join(rows.pop(0)) if [field.lower() for field in rows[0][:3]] == HEADER else None
    return Table(file, header, clips, [fields[3:] for fields in rows])


def _rows(path: Path) -> list[list[str]]:
    """The fields of every line; none where the file cannot be read, which `read_annotations` says better."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return []
    return [fields for line in text.splitlines() if (fields := line.split())]
