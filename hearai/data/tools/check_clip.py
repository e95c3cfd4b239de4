"""Checks one clip's folder completely: decodes every image and reads the landmarks. Runs in worker processes."""

import hashlib
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from hearai.data.annotations.clip import find_frames, landmarks_file
from hearai.data.annotations.problems import Problems
from hearai.data.images import read_image_and_traits
from hearai.errors import DataError


@dataclass(frozen=True)
class ClipJob:
    """A clip to check."""

    folder: Path
    """The dataset folder."""
    name: str
    ranges: tuple[tuple[int, int], ...]
    """(start, end) of every valid row that names the clip; none = all its images are checked."""
    where: str
    """`file:line` of its first row."""
    frame_pattern: str | None = None
    """File names of the frames; None = our own."""


@dataclass
class ClipFindings:
    """The result of checking a clip's folder."""

    problems: Problems = field(default_factory=Problems)
    warnings: Problems = field(default_factory=Problems)
    digests: dict[str, bytes] = field(default_factory=dict)
    """{file: digest of its bytes} of the images in the ranges."""
    images: int = 0
    """Images that were decoded."""
    landmarks: int = 0
    """Landmark files that were read."""


def check_clip(job: ClipJob) -> ClipFindings:
    """Decodes the images in the clip's ranges and reads its landmarks, if it has any."""
    findings, folder = ClipFindings(), job.folder / job.name
    try:
        files = os.listdir(folder)
    except OSError:
        return findings  # reported by the check of the rows
    frames = find_frames(job.name, files, job.frame_pattern)
    ranges = job.ranges or ((0, max(frames, default=0)),)
    used = {n: file for n, file in sorted(frames.items()) if any(start <= n <= end for start, end in ranges)}
    sizes: set[tuple[int, int]] = set()
    for file in used.values():
        if (folder / file).is_file():
            size = _check_image(folder / file, job, findings)
            sizes |= {size} if size else set()
    if len(sizes) > 1:
        shown = ", ".join(f"{width} x {height}" for width, height in sorted(sizes))
        findings.warnings.add("clips whose images differ in size", f"{job.where}: {job.name} has {shown}")
    if unused := len(frames) - len(used):
        shown = ", ".join(f"{start}..{end}" for start, end in sorted(set(ranges)))
        message = f"{job.where}: {job.name} has {unused} outside {shown}"
        findings.warnings.add("clips with frames outside start..end", message)
    if landmarks_file(job.name) in files:
        rows = 1 + max(end for _, end in ranges)
        _check_landmarks(folder / landmarks_file(job.name), rows, job.where, findings)
    return findings


def _check_image(path: Path, job: ClipJob, findings: ClipFindings) -> tuple[int, int] | None:
    """The image's size; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            findings.digests[path.name] = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).digest()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            image, traits = read_image_and_traits(path)
    except OSError as error:
        findings.problems.add("images", f"{job.where}: {path}: cannot read ({error.strerror}); expected an image")
        return None
    except DataError as error:
        findings.problems.add_all("images", (f"{job.where}: {problem}" for problem in error.problems))
        return None
    for trait in traits:
        findings.warnings.add(f"images: {trait}", f"{job.where}: {path}")
    for warning in caught:
        findings.warnings.add("images: decoded with a warning", f"{job.where}: {path}: {warning.message}")
    findings.images += 1
    return image.size


def _check_landmarks(path: Path, rows: int, where: str, findings: ClipFindings) -> None:
    from hearai.data.landmarks.clip_points import check_landmarks  # imports torch, which takes seconds

    findings.landmarks += 1
    findings.problems.add_all("landmarks", (f"{where}: {problem}" for problem in check_landmarks(path, rows)))
