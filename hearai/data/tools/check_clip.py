"""One clip's folder, looked at completely: every picture decoded, the landmarks read. Runs in processes of its own."""

import hashlib
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from hearai.data.annotations.clip import frames_on_disk, landmarks_file
from hearai.data.annotations.problems import Problems
from hearai.data.images import read_with_remarks
from hearai.errors import DataError


@dataclass(frozen=True)
class ClipJob:
    """A clip to look at."""

    folder: Path
    """The dataset folder."""
    name: str
    ranges: tuple[tuple[int, int], ...]
    """(start, end) of every row that names the clip and can be read; none = all its pictures are looked at."""
    where: str
    """`file:line` of its first row."""


@dataclass
class ClipFindings:
    """What a clip's folder holds."""

    problems: Problems = field(default_factory=Problems)
    remarks: Problems = field(default_factory=Problems)
    pictures: dict[str, bytes] = field(default_factory=dict)
    """{file: fingerprint of its bytes} of the pictures in the ranges."""
    decoded: int = 0
    """Pictures that were decoded."""
    landmarks: int = 0
    """Landmark files that were read."""


def check_clip(job: ClipJob) -> ClipFindings:
    """Decodes the pictures in the clip's ranges and reads its landmarks, where it has any."""
    found, folder = ClipFindings(), job.folder / job.name
    try:
        files = os.listdir(folder)
    except OSError:
        return found  # the row's own check has said so
    frames = frames_on_disk(job.name, files)
    ranges = job.ranges or ((0, max(frames, default=0)),)
    used = {n: file for n, file in sorted(frames.items()) if any(start <= n <= end for start, end in ranges)}
    sizes = set()
    for file in used.values():
        if (folder / file).is_file():
            sizes.add(_check_picture(folder / file, job, found))
    if len(sizes - {None}) > 1:
        shown = ", ".join(f"{width} x {height}" for width, height in sorted(sizes - {None}))
        found.remarks.add("clips whose pictures differ in size", f"{job.where}: {job.name} has {shown}")
    if spare := len(frames) - len(used):
        shown = ", ".join(f"{start}..{end}" for start, end in sorted(set(ranges)))
        text = f"{job.where}: {job.name} has {spare} beside {shown}"
        found.remarks.add("clips with frames outside start..end", text)
    if landmarks_file(job.name) in files:
        rows = 1 + max(end for _, end in ranges)
        _check_landmarks(folder / landmarks_file(job.name), rows, job.where, found)
    return found


def _check_picture(path: Path, job: ClipJob, found: ClipFindings) -> tuple[int, int] | None:
    """The picture's size; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            found.pictures[path.name] = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).digest()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            picture, remarks = read_with_remarks(path)
    except OSError as error:
        found.problems.add("pictures", f"{job.where}: {path}: cannot be read ({error.strerror}); a picture is due")
        return None
    except DataError as error:
        found.problems.add_all("pictures", (f"{job.where}: {problem}" for problem in error.problems))
        return None
    for remark in remarks:
        found.remarks.add(f"pictures: {remark}", f"{job.where}: {path}")
    for warning in caught:
        found.remarks.add("pictures: decoded with a warning", f"{job.where}: {path}: {warning.message}")
    found.decoded += 1
    return picture.size


def _check_landmarks(path: Path, rows: int, where: str, found: ClipFindings) -> None:
    from hearai.data.landmarks import check_landmarks  # brings torch along, which takes seconds

    found.landmarks += 1
    found.problems.add_all("landmarks", (f"{where}: {problem}" for problem in check_landmarks(path, rows)))
