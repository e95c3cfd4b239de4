"""A dataset folder -> another one with only those frames in which something moves."""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hearai.data.annotations.clip import Clip, find_frames, frame_file, landmarks_file
from hearai.data.annotations.frame_naming import OUR_NAMING
from hearai.data.annotations.problems import raise_problems
from hearai.data.tools.motion import THRESHOLD, read_brightness, select_keyframes
from hearai.data.tools.output_folder import PARTIAL, find_conflicts, partial_folder, replacing_folder
from hearai.data.tools.process_pool import Progress, for_each, no_progress
from hearai.data.tools.rewrite_annotations import Table, copy_side_files, read_tables
from hearai.errors import DataError
from hearai.files import atomic_write_text

MARKER = ".keyframes.json"
"""Marks a folder as made by this command; contains its source and options."""


@dataclass
class KeyframeResult:
    """The outcome for all clips."""

    clips: int = 0
    complete: int = 0
    """Written by an earlier command."""
    before: int = 0
    after: int = 0
    """Frames of the clips that are not broken."""
    problems: list[str] = field(default_factory=list)
    """One for every broken clip, which has neither a folder nor a row."""


@dataclass(frozen=True)
class _Job:
    clip: Clip
    ranges: tuple[tuple[int, int], ...]
    """Start and end (inclusive) of the clip in each annotation file."""
    target: Path
    stamp: str
    """Changes with every file of the clip and with the ranges."""

    @property
    def numbers(self) -> list[int]:
        """The frames in the ranges, increasing."""
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
    frame_pattern: str | None = None,
    follow_symlinks: bool = False,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> KeyframeResult:
    """Writes a dataset folder with the keyframes of each clip (see `select_keyframes`), numbered from 0.

    Images are copied unchanged, landmark arrays are cut to the kept rows, starts and ends in the annotation files are
    rewritten; those files are written last, so a folder that has them is complete. If frames in between were dropped,
    the clip's properties have `no_FPS` with the reason: the frames are no longer evenly spaced in time. A clip that
    cannot be read is in the result's `problems` and loses its rows.

    Args:
        annotation_file: its path in `data_dir`; None = test_hamnosys.txt and test_gloss.txt, whichever exist.
        threshold, minimum: see `select_keyframes`.
        frame_pattern, follow_symlinks: see `ClipFiles`; the new files have our own names, and are no links.
        workers: processes; None = one per core, 1 = this process. The result is the same.
        progress: shows the clips that are done.

    Raises:
        DataError: the dataset is invalid, `out_dir` contains something else or is in the dataset, the disk is full.
    """
    if not 0 <= threshold < 1:
        raise DataError(f"threshold: got {threshold}; expected a share of full scale, at least 0 and below 1")
    _check_separate(data_dir, out_dir)
    tables = read_tables(data_dir, annotation_file, frame_pattern=frame_pattern, follow_symlinks=follow_symlinks)
    origin = _origin(data_dir, tables) | {"threshold": threshold, "minimum": minimum}
    _check_origin(out_dir, origin)
    jobs = _make_jobs(tables, out_dir)
    raise_problems(find_conflicts([job.clip.name for job in jobs], out_dir, data_dir))
    with partial_folder(out_dir) as unfinished:
        atomic_write_text(out_dir / MARKER, json.dumps(origin, indent=1) + "\n")
        pending = [job for job in jobs if _kept_frames(job) is None]
        if pending:
            for table in tables:
                (out_dir / table.file).unlink(missing_ok=True)
        result = KeyframeResult(len(jobs), complete=len(jobs) - len(pending))
        work = partial(_extract, unfinished=unfinished, threshold=threshold, minimum=minimum)
        with closing(for_each(work, pending, workers=workers)) as done:
            for _, error in progress(done, len(pending)):
                result.problems += error.problems if error else []
        result.problems.sort()
        _finish(result, jobs, tables, out_dir=out_dir)
    return result


def _check_separate(data_dir: Path, out_dir: Path) -> None:
    source, target = data_dir.resolve(), out_dir.resolve()
    if source in (target, *target.parents):
        raise DataError(f"{out_dir}: inside the dataset; choose another OUT_DIR")


def _origin(data_dir: Path, tables: Sequence[Table]) -> dict[str, Any]:
    return {"source": os.path.realpath(data_dir), "annotation_files": [table.file for table in tables]}


def _check_origin(out_dir: Path, origin: dict[str, Any]) -> None:
    """The folder is new, empty, or was made by the same command."""
    if not out_dir.exists():
        return
    if not out_dir.is_dir():
        raise DataError(f"{out_dir}: not a directory; expected a new or empty OUT_DIR")
    if not any(not name.startswith(PARTIAL) for name in os.listdir(out_dir)):
        return
    try:
        found = json.loads((out_dir / MARKER).read_bytes())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{out_dir}: not empty; expected a new or empty OUT_DIR")
    raise_problems(
        [
            f"{out_dir}: was made with {key} {found.get(key)}, not {value}; give the same value, or another OUT_DIR"
            for key, value in origin.items()
            if found.get(key) != value
        ]
    )


def _make_jobs(tables: Sequence[Table], out_dir: Path) -> list[_Job]:
    """One per clip, sorted by name; the annotation files may give it different ranges."""
    clips = {clip.name: clip for table in tables for clip in table.clips}
    ranges: dict[str, set[tuple[int, int]]] = {name: set() for name in clips}
    for table in tables:
        for clip in table.clips:
            ranges[clip.name].add((clip.start, clip.end))
    return [
        _Job(clip, tuple(sorted(ranges[name])), out_dir / name, _compute_stamp(clip, sorted(ranges[name])))
        for name, clip in sorted(clips.items())
    ]


def _compute_stamp(clip: Clip, ranges: Sequence[tuple[int, int]]) -> str:
    digest = hashlib.sha256(repr(ranges).encode())
    if clip.naming != OUR_NAMING:
        digest.update(clip.naming.pattern.encode())
    with os.scandir(clip.folder / clip.name) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            stat = entry.stat() if entry.is_file() else None  # a broken symlink has none
            digest.update(repr((entry.name, stat and (stat.st_size, stat.st_mtime_ns))).encode())
    return digest.hexdigest()[:16]


def _kept_frames(job: _Job) -> list[int] | None:
    """The old numbers of the frames in the clip's finished folder; None if it has to be written."""
    try:
        record = json.loads(job.properties.read_bytes())["keyframes"]
        files = set(os.listdir(job.target))
        is_complete = all(frame_file(job.target.name, i) in files for i in range(len(record["frames"])))
        return record["frames"] if is_complete and record["stamp"] == job.stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _extract(job: _Job, *, unfinished: Path, threshold: float, minimum: int) -> None:
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
        range_NHW = brightness_NHW[first : first + end - start + 1]
        kept |= {start + i for i in select_keyframes(range_NHW, threshold=threshold, minimum=minimum)}
    frames = sorted(kept)
    landmarks = _cut_landmarks(job.clip, frames)
    name = job.target.name
    with replacing_folder(job.target, unfinished) as folder:
        for i, number in enumerate(frames):
            (folder / frame_file(name, i)).write_bytes(_read_bytes(job.clip.frame_path(number)))
        if landmarks:
            np.savez(folder / landmarks_file(name), **landmarks)  # type: ignore[arg-type]  # takes one for allow_pickle
        text = json.dumps(_new_properties(job, frames), indent=1)
        (folder / job.properties.name).write_text(text + "\n", encoding="utf-8")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read ({error.strerror}); expected a file") from None


def _new_properties(job: _Job, frames: Sequence[int]) -> dict[str, Any]:
    path = job.clip.properties_path
    before = json.loads(_read_bytes(path)) if path.exists() else {}
    rate: dict[str, Any]
    if frames[-1] - frames[0] >= len(frames):
        rate = {"no_FPS": "frames without motion were dropped, the others are not evenly spaced"}
    elif job.clip.fps is None:
        rate = {"no_FPS": before.get("no_FPS", "the dataset that the frames come from gives none")}
    else:
        rate = {"FPS": job.clip.fps}
    return {**rate, "keyframes": {"frames": list(frames), "stamp": job.stamp}, "before": before}


def _cut_landmarks(clip: Clip, frames: Sequence[int]) -> dict[str, np.ndarray]:
    """The rows of the kept frames; {} if the clip has no landmarks."""
    path = clip.landmarks_path
    if not path.exists():
        return {}
    pattern = None if clip.naming == OUR_NAMING else clip.naming.pattern
    rows = 1 + max(find_frames(clip.name, os.listdir(path.parent), pattern))
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot read ({error}); expected plain arrays") from None
    invalid = [name for name, array in arrays.items() if array.shape[:1] != (rows,)]
    if invalid:
        found = ", ".join(f"{name} of shape {arrays[name].shape}" for name in invalid)
        raise DataError(f"{path}: found {found}; expected one row per frame, {rows} rows")
    return {name: array[list(frames)] for name, array in arrays.items()}


def _finish(result: KeyframeResult, jobs: Sequence[_Job], tables: Sequence[Table], *, out_dir: Path) -> None:
    """Writes the annotation files and metadata, and counts the frames."""
    kept = {job.clip.name: frames for job in jobs if (frames := _kept_frames(job)) is not None}
    result.before = sum(len(job.numbers) for job in jobs if job.clip.name in kept)
    result.after = sum(map(len, kept.values()))
    for job in jobs:
        if job.clip.name not in kept:
            shutil.rmtree(job.target, ignore_errors=True)  # from an earlier command, when the clip was intact
    if kept:
        for table in tables:
            table.write(out_dir / table.file, kept)
        copy_side_files(jobs[0].clip.folder, out_dir, tables)
