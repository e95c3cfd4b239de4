"""Annotation rows -> Clip records. Every row is checked; all problems are told at once."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal

from hearai.errors import DataError
from hearai.hamnosys import HEADS, MISSING
from hearai.validation import FrozenDict

MAX_CLASSES = 100_000
"""Bound on labels of an `auto` head: a typing error must not build a classifier of gigabytes."""

HEADER = ["name", "start", "end"]
"""What an annotation file's header begins with, where it has one."""

SHOWN = 20
"""Problems listed in full; the rest is counted."""


@dataclass(frozen=True)
class Clip:
    """One annotated stretch of a frame folder."""

    name: str
    folder: Path
    """The dataset folder that holds the clip's folder."""
    start: int
    end: int
    """Last frame, inclusive."""
    labels: Mapping[str, int]
    """{head: class, or MISSING}."""
    signer: str | None = None
    fps: float | None = None
    """Frames per second of the recording, where the clip's properties file says so."""
    dataset: str = ""
    """Name of the dataset among the loaded ones; empty = the folder's own name."""

    @property
    def key(self) -> str:
        """Unique among the loaded clips, and the same wherever the dataset folder is moved as a whole."""
        return f"{self.dataset or self.folder.name}/{self.name}"

    def frame_path(self, frame: int) -> Path:
        """The picture of one frame."""
        return self._file(f"_{frame}.jpg")

    @property
    def properties_path(self) -> Path:
        """Where the frames per second are looked up."""
        return self._file("_properties.json")

    @property
    def landmarks_path(self) -> Path:
        """Where the landmarks are."""
        return self._file(".npz")

    def _file(self, ending: str) -> Path:
        return self.folder / self.name / f"{PurePath(self.name).name}{ending}"


def read_annotations(folder: Path, annotation_file: str, heads: Mapping[str, int | Literal["auto"]]) -> list[Clip]:
    """The clips of a dataset folder, in the order of its annotation file.

    Args:
        heads: {head: number of classes, or "auto" where any label from 0 on is welcome}.

    Raises:
        DataError: every wrong row as `file:line: what was found; what is allowed`.
    """
    path = folder / annotation_file
    rows = _read_rows(folder, path)
    has_header = [field.lower() for field in rows[0][1][:3]] == HEADER
    columns = _Columns.of(heads, f"{path}:{rows[0][0]}", rows[0][1][3:] if has_header else [])
    rows = rows[has_header:]
    if not rows:
        raise DataError(f"{path}: has no rows; give one `name start end label...` a clip")
    reader = _RowReader(folder, path, heads, columns)
    clips = [reader.read(line, fields) for line, fields in rows]
    raise_problems(reader.problems)
    return [clip for clip in clips if clip is not None]


def raise_problems(problems: Sequence[str]) -> None:
    """Raises a DataError of the first problems and the number of the others, if there are any."""
    if not problems:
        return
    more = len(problems) - SHOWN
    raise DataError([*problems[:SHOWN], *([f"... and {more} more problems"] if more > 0 else [])])


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); a text file is due") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is no UTF-8; a text file in UTF-8 is due") from None


def _read_rows(folder: Path, path: Path) -> list[tuple[int, list[str]]]:
    """(line number, fields) of every line that is not blank."""
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder; a dataset folder with {path.name} is due")
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in folder.glob("*.txt"))) or "no .txt file at all"
        raise DataError(
            f"{folder}: has no {path.name} (found {found}); add it, or name the right one in "
            "general_parameters.annotation_file"
        )
    lines = enumerate(_read_text(path).splitlines(), start=1)
    rows = [(number, fields) for number, line in lines if (fields := line.split())]
    if not rows:
        raise DataError(f"{path}: is empty; give one row `name start end label...` a clip")
    return rows


def _read_signers(path: Path) -> tuple[dict[str, str] | None, list[str]]:
    """({clip name: signer}, problems); None where the file does not exist."""
    if not path.exists():
        return None, []
    signers: dict[str, str] = {}
    problems = []
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        fields = [field.strip() for field in line.split(",")]
        if not line.strip() or fields == ["name", "signer"]:
            continue
        if len(fields) != 2 or not all(fields):
            problems.append(f"{path}:{number}: found {line!r}; `name,signer` is due")
        elif signers.setdefault(fields[0], fields[1]) != fields[1]:
            problems.append(f"{path}:{number}: {fields[0]} has a second signer {fields[1]!r}; one is allowed")
    return signers, problems


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
    """Turns rows into clips and collects what is wrong with them."""

    def __init__(self, folder: Path, path: Path, heads: Mapping[str, int | Literal["auto"]], columns: _Columns):
        self.folder, self.path, self.heads, self.columns = folder, path, heads, columns
        self.signers, self.problems = _read_signers(path.parent / "signers.csv")
        self.lines: dict[PurePath, int] = {}

    def read(self, line: int, fields: list[str]) -> Clip | None:
        """The clip of a row; None where the row is too wrong for one."""
        due = 3 + len(self.columns.names)
        if not due <= len(fields) <= due + self.columns.spare:
            names = " ".join([*HEADER, *self.columns.names])
            self._note(line, f"{len(fields)} columns", f"{due} are due: {names}")
            return None
        name, range_ = fields[0], self._range(line, fields)
        labels = self._labels(line, dict(zip(self.columns.names, fields[3:], strict=False)))
        if not self._is_good_name(line, name) or range_ is None:
            return None
        signer = self.signers.get(name) if self.signers is not None else None
        clip = Clip(name, self.folder, *range_, FrozenDict(labels), signer)
        return replace(clip, fps=self._check_files(line, clip))

    def _note(self, line: int, found: str, allowed: str) -> None:
        self.problems.append(f"{self.path}:{line}: {found}; {allowed}")

    def _range(self, line: int, fields: list[str]) -> tuple[int, int] | None:
        if not all(map(_is_whole, fields[1:3])):
            self._note(line, f"start {fields[1]!r}, end {fields[2]!r}", "two whole numbers are due")
            return None
        start, end = int(fields[1]), int(fields[2])
        if 0 <= start <= end:
            return start, end
        self._note(line, f"start {start}, end {end}", "0 <= start <= end is due")
        return None

    def _labels(self, line: int, fields: Mapping[str, str]) -> dict[str, int]:
        labels = {}
        for head, num_class in self.heads.items():
            top = (MAX_CLASSES if num_class == "auto" else num_class) - 1
            text = fields[head]
            if _is_whole(text) and (0 <= int(text) <= top or int(text) == MISSING):
                labels[head] = int(text)
            else:
                self._note(line, f"{head} has label {text!r}", f"0..{top} or {MISSING} (missing) is allowed")
        return labels

    def _is_good_name(self, line: int, name: str) -> bool:
        path = PurePath(name)
        if path.is_absolute() or ".." in path.parts or not path.name:
            self._note(line, f"name {name!r} leads out of the dataset folder", "a folder inside it is due")
            return False
        first = self.lines.setdefault(path, line)
        if first != line:
            self._note(line, f"clip {name!r} was given before in line {first}", "one row a clip is allowed")
            return False
        if self.signers is not None and name not in self.signers:
            self._note(line, f"clip {name!r} is missing in signers.csv", "a row `name,signer` there is due")
        return True

    def _check_files(self, line: int, clip: Clip) -> float | None:
        """Notes missing frames; the clip's frames per second, where a properties file gives them."""
        try:
            files = set(os.listdir(clip.folder / clip.name))
        except OSError as error:
            found = f"folder {clip.folder / clip.name} cannot be read ({error.strerror})"
            self._note(line, found, "a folder of frames is due")
            return None
        paths = (clip.frame_path(frame) for frame in range(clip.start, clip.end + 1))
        missing = next((path for path in paths if path.name not in files), None)
        if missing is not None:
            self._note(line, f"{missing} is missing", f"every frame of {clip.start}..{clip.end} is due")
        if clip.properties_path.name not in files:
            return None
        fps = _read_fps(clip.properties_path)
        if fps is None and no_fps_reason(clip.properties_path) is None:
            self._note(line, f"{clip.properties_path} is wrong", '{"FPS": frames per second} is due')
        return fps


def no_fps_reason(properties: Path) -> str | None:
    """Why a clip has no frames per second, where its properties file says so: `{"no_FPS": reason}`."""
    try:
        content = json.loads(properties.read_bytes())
    except (OSError, ValueError):
        return None
    return content.get("no_FPS") if isinstance(content, dict) and "FPS" not in content else None


def _read_fps(path: Path) -> float | None:
    try:
        fps = float(json.loads(path.read_bytes())["FPS"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return fps if 0 < fps < math.inf else None


def _is_whole(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 19
