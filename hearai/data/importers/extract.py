"""Extracts the clips of one video, image folder or landmark file. Runs in worker processes."""

import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hearai.config.field_types import IMAGE_ENDINGS
from hearai.data.annotations.clip import frame_file, landmarks_file, properties_file
from hearai.data.images import read_image
from hearai.data.importers.clip_writer import Clip, ClipWriter, Output, write_properties
from hearai.data.importers.sample import Form
from hearai.data.landmarks.foreign import read_foreign
from hearai.data.tools.extract_frames import about_video, read_record
from hearai.data.tools.output_folder import move_into_place, replacing_folder
from hearai.data.videos import Video, read_video
from hearai.errors import DataError


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


def written_frames(job: Job, clip: Clip, output: Output) -> int | None:
    """The number of frames of the finished clip; None if it has to be extracted."""
    properties = read_record(clip.target / properties_file(clip.name), clip.record)
    if properties is None or any(properties[key] != value for key, value in clip.record.items()):
        return None
    count, files = properties["frames"], set(os.listdir(clip.target))
    has_frames = output.frames and job.form != "landmarks"
    needed = [frame_file(clip.name, i) for i in range(count)] if has_frames else []
    needed += [landmarks_file(clip.name)] if job.form == "landmarks" or output.models else []
    return count if files.issuperset(needed) else None


def extract(job: Job, *, unfinished: Path, output: Output, keep_damaged: bool) -> JobResult:
    """Writes the clips' folders; a video is decoded once for all its clips.

    Raises:
        DataError: the file is broken, and none of its clips was written.
    """
    if job.form == "landmarks":
        return _extract_landmarks(job, unfinished, output)
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
    writers: dict[str, ClipWriter] = {}
    try:

        def new_writer(clip: Clip) -> ClipWriter:
            folder = unfinished / f"{os.getpid()}.{len(writers)}.new"
            return writers.setdefault(clip.name, ClipWriter(clip, folder, fps, output))

        _write_clips(job, ranges, images, writers, new_writer)
        about = about_video(video) if video else {"no_FPS": "made from images, whose times are unknown"}
        for name in ranges:
            _finish(job, name, writers.get(name), about, result)
    finally:
        for writer in writers.values():
            writer.close()
            shutil.rmtree(writer.folder, ignore_errors=True)
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


def _write_clips(
    job: Job,
    ranges: dict[str, tuple[int, int | None]],
    images: Iterable[np.ndarray],
    writers: dict[str, ClipWriter],
    new_writer: Callable[[Clip], ClipWriter],
) -> None:
    """Adds each image to the clips that it belongs to; a clip's writer is made with its first image."""
    clips = [clip for clip in job.clips if clip.name in ranges]
    ends = [ranges[clip.name][1] for clip in clips]
    last = None if None in ends or not ends else max(end for end in ends if end is not None)
    for number, image_HWC in enumerate(images) if clips else ():
        for clip in clips:
            first, end = ranges[clip.name]
            if number < first or (end is not None and number > end):
                continue
            writer = writers.get(clip.name) or new_writer(clip)
            try:
                writer.add(image_HWC)
            except DataError as error:
                raise DataError(f"{job.media}: {error}") from None
            if number == end:
                writer.finish()  # releases its models before those of the next clip are loaded
        if last is not None and number >= last:
            break


def _finish(job: Job, name: str, writer: ClipWriter | None, about: dict[str, Any], result: JobResult) -> None:
    if writer is None:
        result.problems.append(f"{job.media}: clip {name} has no frames; expected a start inside the video")
        return
    writer.finish()
    if writer.problem:
        result.problems.append(f"{job.media}: clip {name}: {writer.problem}")
        return
    writer.write_properties(about)
    move_into_place(writer.folder, writer.clip.target)
    result.extracted, result.frames = result.extracted + 1, result.frames + writer.frames


def _extract_landmarks(job: Job, unfinished: Path, output: Output) -> JobResult:
    landmarks = read_foreign(job.media, face=output.face)
    result = JobResult(notes=[f"{job.media}: {note}" for note in landmarks.notes])
    ranges = _ranges(job, landmarks.fps, landmarks.frames, result)
    about = {"FPS": landmarks.fps} if landmarks.fps else {"no_FPS": "the dataset gives none"}
    for clip in job.clips:
        if clip.name not in ranges:
            continue
        first, last = ranges[clip.name]
        part = landmarks.rows(first, last)
        if not part.known:
            result.problems.append(f"{job.media}: clip {clip.name}: no point of hands and body is known")
            continue
        with replacing_folder(clip.target, unfinished) as folder:
            part.save(folder / landmarks_file(clip.name))
            write_properties(clip, folder, {**about, "frames": part.frames})
        result.extracted, result.frames = result.extracted + 1, result.frames + part.frames
    return result


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
