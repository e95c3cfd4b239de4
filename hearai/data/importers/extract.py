"""Extracts the clips of one video, image folder or landmark file. Runs in worker processes."""

import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hearai.config.validation import IMAGE_ENDINGS
from hearai.data.annotations.clip import frame_file, landmarks_file, properties_file
from hearai.data.images import read_image
from hearai.data.importers.sample import Box, Form, Trim
from hearai.data.landmarks.foreign import read_foreign
from hearai.data.tools.extract_frames import about_video, encode_jpeg, read_record, resize_image
from hearai.data.tools.output_folder import move_into_place, replacing_folder
from hearai.data.videos import Video, read_video
from hearai.errors import DataError


@dataclass(frozen=True)
class Clip:
    """A clip to extract."""

    name: str
    target: Path
    trim: Trim
    box: Box | None
    record: dict[str, Any]
    """The source and the options; stored in the clip's properties and compared by the next command."""

    def written_frames(self, form: Form) -> int | None:
        """The number of frames of the finished clip; None if it has to be extracted."""
        properties = read_record(self.target / properties_file(self.name), self.record)
        if properties is None or any(properties[key] != value for key, value in self.record.items()):
            return None
        count, files = properties["frames"], set(os.listdir(self.target))
        needed = (
            [landmarks_file(self.name)] if form == "landmarks" else [frame_file(self.name, i) for i in range(count)]
        )
        return count if files.issuperset(needed) else None


@dataclass(frozen=True)
class Job:
    """The clips of one file or folder."""

    media: Path
    form: Form
    clips: tuple[Clip, ...]


@dataclass
class JobResult:
    """The outcome of a job."""

    frames: int = 0
    extracted: int = 0
    """Clips."""
    problems: list[str] = field(default_factory=list)
    """One for each clip that could not be extracted."""
    notes: list[str] = field(default_factory=list)


def extract(job: Job, *, unfinished: Path, size: int | None, quality: int, keep_damaged: bool) -> JobResult:
    """Writes the clips' folders; a video is decoded once for all its clips.

    Raises:
        DataError: the file is broken, and none of its clips was written.
    """
    if job.form == "landmarks":
        return _extract_landmarks(job, unfinished)
    video: Video | None = None
    images: Iterable[np.ndarray]
    if job.form == "images":
        paths = _image_files(job.media)
        images, fps, count = (np.asarray(read_image(path)) for path in paths), None, len(paths)
    else:
        images = video = read_video(job.media, keep_damaged=keep_damaged)
        fps, count = video.fps, video.packets
    result = JobResult()
    ranges = _ranges(job, fps, count, result)
    folders = {clip.name: unfinished / f"{os.getpid()}.{number}.new" for number, clip in enumerate(job.clips)}
    try:
        written = _write_frames(job, ranges, folders, images, size=size, quality=quality)
        about = about_video(video) if video else {"no_FPS": "made from images, whose times are unknown"}
        for clip in job.clips:
            if clip.name in ranges:
                _finish(job, clip, folders[clip.name], written.get(clip.name, []), about, result)
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
    if video:
        result.notes += [f"{job.media}: {note}" for note in (*video.notes, video.remark) if note]
    return result


def _ranges(job: Job, fps: float | None, count: int, result: JobResult) -> dict[str, tuple[int, int | None]]:
    """{clip name: first and last frame} of the clips that lie inside the video."""
    ranges = {}
    for clip in job.clips:
        try:
            ranges[clip.name] = clip.trim.frames(fps, count)
        except ValueError as error:
            result.problems.append(f"{job.media}: clip {clip.name} {error}")
    return ranges


def _write_frames(
    job: Job,
    ranges: dict[str, tuple[int, int | None]],
    folders: dict[str, Path],
    images: Iterable[np.ndarray],
    *,
    size: int | None,
    quality: int,
) -> dict[str, list[tuple[int, int]]]:
    """{clip name: sizes of its written frames}."""
    clips = [clip for clip in job.clips if clip.name in ranges]
    ends = [ranges[clip.name][1] for clip in clips]
    last = None if None in ends or not ends else max(end for end in ends if end is not None)
    written: dict[str, list[tuple[int, int]]] = {}
    for number, image_HWC in enumerate(images) if clips else ():
        for clip in clips:
            first, end = ranges[clip.name]
            if number >= first and (end is None or number <= end):
                folders[clip.name].mkdir(exist_ok=True)
                sizes = written.setdefault(clip.name, [])
                try:
                    image = resize_image(_crop(image_HWC, clip.box), size)
                except ValueError as error:
                    raise DataError(f"{job.media}: clip {clip.name}: {error}") from None
                path = folders[clip.name] / frame_file(clip.name, len(sizes))
                path.write_bytes(encode_jpeg(image, quality))
                sizes.append(image.size)
        if last is not None and number >= last:
            break
    return written


def _finish(
    job: Job, clip: Clip, folder: Path, sizes: Sequence[tuple[int, int]], about: dict[str, Any], result: JobResult
) -> None:
    if not sizes:
        result.problems.append(f"{job.media}: clip {clip.name} has no frames; expected a start inside the video")
        return
    width, height = sizes[0]
    _write_properties(clip, folder, {**about, "frames": len(sizes), "width": width, "height": height})
    move_into_place(folder, clip.target)
    result.extracted, result.frames = result.extracted + 1, result.frames + len(sizes)


def _write_properties(clip: Clip, folder: Path, about: dict[str, Any]) -> None:
    text = json.dumps({**about, **clip.record}, indent=1)
    (folder / properties_file(clip.name)).write_text(text + "\n", encoding="utf-8")


def _extract_landmarks(job: Job, unfinished: Path) -> JobResult:
    landmarks = read_foreign(job.media)
    for clip in job.clips:
        with replacing_folder(clip.target, unfinished) as folder:
            landmarks.save(folder / landmarks_file(clip.name))
            _write_properties(clip, folder, {"frames": landmarks.frames, "no_FPS": "the dataset gives none"})
    notes = [f"{job.media}: {note}" for note in landmarks.notes]
    return JobResult(landmarks.frames * len(job.clips), len(job.clips), notes=notes)


def _image_files(folder: Path) -> list[Path]:
    """The images of a folder, in the order of the numbers in their names."""
    try:
        files = os.listdir(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot read ({error.strerror}); expected a folder of images") from None
    names = [name for name in files if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith(".")]
    return [folder / name for name in sorted(names, key=_natural)]


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts 10 after 9."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _crop(image_HWC: np.ndarray, box: Box | None) -> np.ndarray:
    if box is None:
        return image_HWC
    height, width = image_HWC.shape[:2]
    left, top, right, bottom = box.pixels(width, height)
    return np.ascontiguousarray(image_HWC[top:bottom, left:right])
