"""A dataset folder -> another one that holds the frames with motion only."""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.problems import raise_problems
from hearai.data.tools.motion import THRESHOLD, read_brightness, select_keyframes
from hearai.data.tools.output_folder import PARTIAL, misplaced, placing, workshop
from hearai.data.tools.process_pool import for_each
from hearai.data.tools.rewrite_annotations import Table, copy_side_files, read_tables
from hearai.errors import DataError
from hearai.files import write_whole

T = TypeVar("T")

MARKER = ".keyframes.json"
"""Says of a folder that it was made here, from what and how."""


@dataclass
class Reduction:
    """What became of the clips."""

    clips: int = 0
    complete: int = 0
    """Were there already."""
    before: int = 0
    after: int = 0
    """Frames of the clips that are not broken."""
    problems: list[str] = field(default_factory=list)
    """One for every broken clip, which has neither a folder nor a row."""


@dataclass(frozen=True)
class _Job:
    clip: Clip
    ranges: tuple[tuple[int, int], ...]
    """Start and end (inclusive) of each annotation file's row."""
    target: Path
    stamp: str
    """Changes with every file of the clip and with the ranges."""

    @property
    def numbers(self) -> list[int]:
        """The frames in the ranges, rising."""
        return sorted({number for start, end in self.ranges for number in range(start, end + 1)})

    @property
    def properties(self) -> Path:
        """The properties file of the new clip."""
        return self.target / self.clip.properties_path.name


def extract_keyframes(
    data_dir: Path,
    out_dir: Path,
    *,
    annotation_file: str | None = None,
    threshold: float = THRESHOLD,
    minimum: int = 2,
    workers: int | None = None,
    watch: Callable[[Iterable[T], int], Iterable[T]] = lambda jobs, total: jobs,
) -> Reduction:
    """Writes a dataset folder with the key frames of each clip (see `select_keyframes`), numbered from 0.

    Pictures are copied as they are, landmark arrays cut to the kept rows, starts and ends in the annotation files
    rewritten; those files come last, so a folder that has them is whole. Where frames in between were dropped, the
    clip's properties say `no_FPS` and why: the frames are no longer evenly spaced in time. A clip that cannot be read
    is in the result's `problems` and loses its rows.

    Args:
        annotation_file: its path in `data_dir`; None = test_hamnosys.txt and test_gloss.txt, whichever are there.
        threshold, minimum: see `select_keyframes`.
        workers: processes; None = one per core, 1 = this process. The result is the same.
        watch: handed (clips as they are done, how many); for a progress bar.

    Raises:
        DataError: the dataset is wrong, `out_dir` holds something else or lies in the dataset, the disk is full.
    """
    if not 0 <= threshold < 1:
        raise DataError(f"threshold: got {threshold}; a share of full scale is due, at least 0 and below 1")
    _check_apart(data_dir, out_dir)
    tables = read_tables(data_dir, annotation_file)
    made = _origin(data_dir, tables) | {"threshold": threshold, "minimum": minimum}
    _check_own(out_dir, made)
    jobs = _jobs(tables, out_dir)
    raise_problems(misplaced([job.clip.name for job in jobs], out_dir, data_dir))
    with workshop(out_dir) as unfinished:
        write_whole(out_dir / MARKER, json.dumps(made, indent=1) + "\n")
        todo = [job for job in jobs if _kept(job) is None]
        if todo:
            for table in tables:
                (out_dir / table.file).unlink(missing_ok=True)
        result = Reduction(len(jobs), complete=len(jobs) - len(todo))
        work = partial(_reduce, unfinished=unfinished, threshold=threshold, minimum=minimum)
        with closing(for_each(work, todo, workers=workers)) as done:
            for _, error in watch(done, len(todo)):
                result.problems += error.problems if error else []
        result.problems.sort()
        _finish(result, jobs, tables, out_dir=out_dir)
    return result


def _check_apart(data_dir: Path, out_dir: Path) -> None:
    source, target = data_dir.resolve(), out_dir.resolve()
    if source in (target, *target.parents):
        raise DataError(f"{out_dir}: lies in the dataset, which is only read; another OUT_DIR is due")


def _origin(data_dir: Path, tables: Sequence[Table]) -> dict[str, Any]:
    return {"source": os.path.realpath(data_dir), "annotation_files": [table.file for table in tables]}


def _check_own(out_dir: Path, made: dict[str, Any]) -> None:
    """The folder is new, empty, or was made by the same command."""
    if not out_dir.exists():
        return
    if not out_dir.is_dir():
        raise DataError(f"{out_dir}: is no folder; a new or empty OUT_DIR is due")
    if not any(not name.startswith(PARTIAL) for name in os.listdir(out_dir)):
        return
    try:
        found = json.loads((out_dir / MARKER).read_bytes())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{out_dir}: is not empty; a new or empty OUT_DIR is due")
    if found != made:
        raise_problems(
            [
                f"{out_dir}: was made with {key} {found.get(key)}, not {value}; that is due, or another OUT_DIR"
                for key, value in made.items()
                if found.get(key) != value
            ]
        )


def _jobs(tables: Sequence[Table], out_dir: Path) -> list[_Job]:
    """One a clip, by name; the annotation files may give it different ranges."""
    clips = {clip.name: clip for table in tables for clip in table.clips}
    ranges: dict[str, set[tuple[int, int]]] = {name: set() for name in clips}
    for table in tables:
        for clip in table.clips:
            ranges[clip.name].add((clip.start, clip.end))
    return [
        _Job(clip, tuple(sorted(ranges[name])), out_dir / name, _stamp(clip, sorted(ranges[name])))
        for name, clip in sorted(clips.items())
    ]


def _stamp(clip: Clip, ranges: Sequence[tuple[int, int]]) -> str:
    digest = hashlib.sha256(repr(ranges).encode())
    with os.scandir(clip.folder / clip.name) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            stat = entry.stat() if entry.is_file() else None  # a dangling link has none
            digest.update(repr((entry.name, stat and (stat.st_size, stat.st_mtime_ns))).encode())
    return digest.hexdigest()[:16]


def _kept(job: _Job) -> list[int] | None:
    """Old numbers of the frames that the clip's finished folder holds; None where it has to be made."""
    try:
        made = json.loads(job.properties.read_bytes())["keyframes"]
        files = set(os.listdir(job.target))
        whole = all(f"{job.target.name}_{i}.jpg" in files for i in range(len(made["frames"])))
        return made["frames"] if whole and made["stamp"] == job.stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _reduce(job: _Job, *, unfinished: Path, threshold: float, minimum: int) -> None:
    """Writes one clip's new folder.

    Raises:
        DataError: the clip's files are broken.
        OSError: the folder cannot be written.
    """
    numbers = job.numbers
    brightness_NHW = read_brightness([job.clip.frame_path(number) for number in numbers])
    kept: set[int] = set()
    for start, end in job.ranges:
        first = numbers.index(start)
        part_NHW = brightness_NHW[first : first + end - start + 1]
        kept |= {start + i for i in select_keyframes(part_NHW, threshold=threshold, minimum=minimum)}
    frames = sorted(kept)
    landmarks = _landmarks(job.clip, frames)
    stem = job.target.name
    with placing(job.target, unfinished) as folder:
        for i, number in enumerate(frames):
            (folder / f"{stem}_{i}.jpg").write_bytes(_read(job.clip.frame_path(number)))
        if landmarks:
            np.savez(folder / f"{stem}.npz", **landmarks)
        text = json.dumps(_new_properties(job, frames), indent=1)
        (folder / job.properties.name).write_text(text + "\n", encoding="utf-8")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); a file is due") from None


def _new_properties(job: _Job, frames: Sequence[int]) -> dict[str, Any]:
    path = job.clip.properties_path
    before = json.loads(_read(path)) if path.exists() else {}
    if frames[-1] - frames[0] >= len(frames):
        rate = {"no_FPS": "frames without motion were dropped, the others are not evenly spaced"}
    elif job.clip.fps is None:
        rate = {"no_FPS": before.get("no_FPS", "the dataset that the frames come from gives none")}
    else:
        rate = {"FPS": job.clip.fps}
    return {**rate, "keyframes": {"frames": list(frames), "stamp": job.stamp}, "before": before}


def _landmarks(clip: Clip, frames: Sequence[int]) -> dict[str, np.ndarray]:
    """The rows of the kept frames; {} where the clip has no landmarks."""
    path = clip.frame_path(0).with_name(f"{Path(clip.name).name}.npz")
    if not path.exists():
        return {}
    prefix = f"{Path(clip.name).name}_"
    stems = (file.stem.removeprefix(prefix) for file in path.parent.glob("*.jpg"))
    rows = 1 + max(int(stem) for stem in stems if stem.isdecimal())
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read ({error}); plain arrays are due") from None
    wrong = [name for name, array in arrays.items() if array.shape[:1] != (rows,)]
    if wrong:
        found = ", ".join(f"{name} of shape {arrays[name].shape}" for name in wrong)
        raise DataError(f"{path}: found {found}; one row a frame is due, {rows} rows")
    return {name: array[list(frames)] for name, array in arrays.items()}


def _finish(result: Reduction, jobs: Sequence[_Job], tables: Sequence[Table], *, out_dir: Path) -> None:
    """Writes the files of the whole folder and counts the frames."""
    kept = {job.clip.name: frames for job in jobs if (frames := _kept(job)) is not None}
    result.before = sum(len(job.numbers) for job in jobs if job.clip.name in kept)
    result.after = sum(map(len, kept.values()))
    for job in jobs:
        if job.clip.name not in kept:
            shutil.rmtree(job.target, ignore_errors=True)  # of an earlier run, when the clip was not broken yet
    if kept:
        for table in tables:
            table.write(out_dir / table.file, kept)
        copy_side_files(jobs[0].clip.folder, out_dir, tables)
