"""A folder of videos -> a dataset folder of frames."""

import errno
import io
import json
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hearai.data.annotations.clip import frame_file, properties_file
from hearai.data.annotations.problems import raise_problems
from hearai.data.tools.find_videos import find_videos
from hearai.data.tools.output_folder import partial_folder, replacing_folder
from hearai.data.tools.process_pool import Progress, for_each, no_progress
from hearai.data.videos import Video, read_video
from hearai.errors import DataError

MAX_SIZE = 8192
"""Upper limit on `size`: a typing error must not fill the disk."""


@dataclass
class ExtractionResult:
    """The outcome for all videos."""

    videos: int
    complete: int = 0
    """Extracted by an earlier command."""
    extracted: int = 0
    frames: int = 0
    """Written now, for all videos."""
    problems: list[str] = field(default_factory=list)
    """One for every broken video. No folder is written for it; the folder of an earlier version stays."""
    damaged: int = 0
    """Damaged videos whose readable frames were kept, also by an earlier command."""
    notes: list[str] = field(default_factory=list)
    """What is unusual about videos, and what was done about it."""
    left_out: str = ""
    """Files that are no videos: `2 .txt, 1 hidden`."""


@dataclass(frozen=True)
class _Extracted:
    """The outcome for one video."""

    frames: int
    notes: tuple[str, ...]
    damage: str | None


@dataclass(frozen=True)
class _Job:
    name: str
    """The clip's name: the video's relative path without the extension."""
    video: Path
    target: Path
    record: dict[str, Any]
    """The source of the frames and the options; stored in the properties and compared by the next command."""

    @property
    def properties(self) -> Path:
        return self.target / properties_file(self.target.name)


def extract_frames(
    video_dir: Path,
    out_dir: Path,
    *,
    size: int | None = None,
    quality: int = 90,
    workers: int | None = None,
    overwrite: bool = False,
    keep_damaged: bool = False,
    progress: Progress = no_progress,
) -> ExtractionResult:
    """Writes OUT_DIR/NAME/NAME_0.jpg ... and NAME_properties.json for every video VIDEO_DIR/NAME.mp4, .avi, ...

    A clip's folder is complete or absent; one that exists and matches its video and the arguments is kept. Hidden
    files are ignored. A video that cannot be read is in the result's `problems`; the others are extracted.
    Files that are no videos are counted in `left_out`.

    Args:
        size: shorter side of the images, pixels, 1..8192; None keeps the video's size.
        quality: of the JPEGs, 1..100.
        workers: processes; None = one per core, 1 = this process. The result is the same.
        overwrite: extract everything again, also over folders that were not made from videos.
        keep_damaged: extract the readable frames of damaged videos; the properties then name the `damage`.
        progress: shows the videos that are done.

    Raises:
        DataError: VIDEO_DIR is unusable, videos share a name, OUT_DIR contains something else, the disk is full.
    """
    _check_range("size", size, MAX_SIZE)
    _check_range("quality", quality, 100)
    found = find_videos(video_dir, out_dir)
    options = {"size": size, "quality": quality}
    jobs = [_Job(name, path, out_dir / name, _source_record(video_dir, path) | options) for name, path in found.videos]
    raise_problems([] if overwrite else [problem for job in jobs if (problem := _target_problem(job))])
    pending = [job for job in jobs if overwrite or not _is_complete(job, keep_damaged=keep_damaged)]
    result = ExtractionResult(len(jobs), complete=len(jobs) - len(pending), left_out=found.left_out_text)
    unfinished_jobs = {job.name for job in pending}
    for job in jobs:
        result.notes += _name_notes(job)
        if job.name not in unfinished_jobs:
            _add_notes(result, job, _recorded(job))
    if not pending:
        return result
    with partial_folder(out_dir) as unfinished:
        work = partial(_extract, unfinished=unfinished, size=size, quality=quality, keep_damaged=keep_damaged)
        with closing(for_each(work, pending, workers=workers)) as done:
            for job, extracted in progress(done, len(pending)):
                if isinstance(extracted, DataError):
                    result.problems += [f"{problem}{_damaged_frames_stay(job)}" for problem in extracted.problems]
                    continue
                result.extracted, result.frames = result.extracted + 1, result.frames + extracted.frames
                _add_notes(result, job, extracted)
    result.problems.sort()
    result.notes.sort()
    return result


def _add_notes(result: ExtractionResult, job: _Job, extracted: _Extracted) -> None:
    result.notes += [f"{job.video}: {note}" for note in extracted.notes]
    if extracted.damage:
        result.damaged += 1
        result.notes.append(f"{job.video}: {extracted.damage}")


def _recorded(job: _Job) -> _Extracted:
    """What an earlier command wrote about a complete clip."""
    properties = _read_properties(job) or {}
    notes, damage = properties.get("notes", []), properties.get("damage")
    return _Extracted(properties.get("frames", 0), tuple(notes) if isinstance(notes, list) else (), damage)


def _damaged_frames_stay(job: _Job) -> str:
    return f" ({job.target} keeps the frames of an earlier --keep-damaged)" if _recorded(job).damage else ""


def _check_range(name: str, value: int | None, largest: int) -> None:
    if value is not None and not 1 <= value <= largest:
        raise DataError(f"{name}: got {value}; expected 1..{largest}")


def _source_record(video_dir: Path, path: Path) -> dict[str, Any]:
    source: dict[str, Any] = {"video": path.relative_to(video_dir).as_posix()}
    try:
        stat = path.stat()
    except OSError:
        return {"source": source}  # a broken symlink; reported when the video is read
    return {"source": source | {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}}


def _name_notes(job: _Job) -> list[str]:
    if job.name.split() == [job.name]:
        return []
    return [f"{job.video}: the name contains whitespace, so no annotation row can refer to the clip"]


def _read_properties(job: _Job) -> dict[str, Any] | None:
    """What an earlier command wrote about the clip; None if its folder was not made from a video."""
    return read_record(job.properties, job.record)


def read_record(path: Path, keys: Iterable[str]) -> dict[str, Any] | None:
    """The properties of a clip that a command wrote with its number of `frames` and these keys; None otherwise."""
    try:
        properties = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    is_extracted = isinstance(properties, dict) and {"frames", *keys} <= properties.keys()
    return properties if is_extracted and isinstance(properties["frames"], int) else None


def _target_problem(job: _Job) -> str | None:
    is_empty_folder = job.target.is_dir() and not any(job.target.iterdir())
    if not job.target.exists() or _read_properties(job) or is_empty_folder:
        return None
    return f"{job.target}: exists and was not made from a video; choose another OUT_DIR, or give --overwrite"


def _is_complete(job: _Job, *, keep_damaged: bool) -> bool:
    properties = _read_properties(job)
    if properties and properties.get("damage") and not keep_damaged:
        return False
    if not properties or any(properties[key] != value for key, value in job.record.items()):
        return False
    files = set(os.listdir(job.target))
    return all(frame_file(job.target.name, i) in files for i in range(properties["frames"]))


def _extract(job: _Job, *, unfinished: Path, size: int | None, quality: int, keep_damaged: bool) -> _Extracted:
    """Writes one clip's folder.

    Raises:
        DataError: the video is broken.
        OSError: the folder cannot be written.
    """
    video, count = read_video(job.video, keep_damaged=keep_damaged), 0
    try:
        with replacing_folder(job.target, unfinished) as folder:
            for image_HWC in video:
                image = resize_image(image_HWC, size)
                (folder / frame_file(job.target.name, count)).write_bytes(encode_jpeg(image, quality))
                count += 1
            about = about_video(video) | {"frames": count, "width": image.width, "height": image.height}
            text = json.dumps({**about, **job.record}, indent=1)
            (folder / job.properties.name).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise DataError(f"{job.video}: the name is too long for the files of the clip; shorten it") from None
        raise
    return _Extracted(count, video.notes, video.remark)


def about_video(video: Video) -> dict[str, Any]:
    """What the properties say about a video after its frames were decoded."""
    about: dict[str, Any] = {"FPS": video.fps} if video.fps else {"no_FPS": "the video gives no times"}
    if video.is_variable:
        about["FPS_note"] = "an average: the frame rate varies"
    if video.notes:
        about["notes"] = list(video.notes)
    if video.remark:
        about["damage"] = video.remark
    return about


def encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """The JPEG file's bytes: when Pillow writes the file itself, it does not notice that a full disk cut it short."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def resize_image(image_HWC: np.ndarray, size: int | None) -> Image.Image:
    """The image with a shorter side of `size` pixels; None keeps its size."""
    image = Image.fromarray(image_HWC)
    if size is None:
        return image
    scale = size / min(image.size)
    width, height = (max(round(side * scale), size) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
