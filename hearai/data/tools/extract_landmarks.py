"""A folder of videos, or the frames of a dataset -> landmark files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hearai.data.annotations.clip import Clip, properties_file
from hearai.data.annotations.problems import raise_problems
from hearai.data.landmarks.extraction import Extracted, extract, require_mediapipe
from hearai.data.landmarks.mediapipe_models import SHA256, find_models
from hearai.data.landmarks.pose_file import write_pose_file
from hearai.data.tools.find_videos import find_videos
from hearai.data.tools.process_pool import Progress, for_each, no_progress
from hearai.data.tools.rewrite_annotations import DEFAULT_FILES
from hearai.errors import DataError
from hearai.files import atomic_write_text
from hearai.sign.skeleton import BONES

FORMATS = ("npz", "pose")
SOURCE = "source"
"""An array of the landmark file, the JSON of what it was made from: a file without it is not ours to replace."""
DOT = 3
"""Radius of a point in a preview, pixels."""


@dataclass
class LandmarkResult:
    """The outcome for all clips."""

    clips: int
    complete: int = 0
    """Extracted by an earlier command."""
    extracted: int = 0
    frames: int = 0
    problems: list[str] = field(default_factory=list)
    left_out: str = ""
    """Files that are no videos: `2 .txt, 1 hidden`."""


@dataclass(frozen=True)
class _Job:
    name: str
    origin: Path
    """A video, or the dataset folder of `clip`."""
    target: Path
    """The folder of the clip's files."""
    record: Mapping[str, Any]
    clip: Clip | None = None

    def file(self, ending: str) -> Path:
        return self.target / f"{self.target.name}.{ending}"


def extract_landmarks(
    source: Path,
    out_dir: Path,
    *,
    models: Path | None = None,
    face: bool = False,
    format: str = "npz",
    preview: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> LandmarkResult:
    """Writes OUT_DIR/NAME/NAME.npz for every video of a folder, or every clip of a dataset folder with frames.

    A file is complete or absent; one that exists and was made from the same video or frames is kept. OUT_DIR may be
    the dataset folder itself.

    Args:
        models: the folder of MediaPipe's models; None = the cache.
        face: also the 478 points of the face.
        format: npz, or pose for NAME.pose.
        preview: also NAME_preview.jpg, the frame in the middle with its points.
        workers: processes; None = one per core, 1 = this process.
        overwrite: extract everything again, also over files that were made otherwise.

    Raises:
        DataError: MediaPipe or a model is missing, or SOURCE or OUT_DIR is unusable.
    """
    require_mediapipe()
    found = find_models(models, face=face)
    jobs, left_out = _jobs(source, out_dir, {"models": {name: SHA256[name] for name in found}})
    taken = [job for job in jobs if not overwrite and job.file(format).exists() and not _record(job, format)]
    raise_problems(
        [f"{job.file(format)}: was not made by this command; give --overwrite, or another OUT" for job in taken]
    )
    pending = [job for job in jobs if overwrite or _record(job, format) != job.record]
    result = LandmarkResult(len(jobs), complete=len(jobs) - len(pending), left_out=left_out)
    work = partial(_extract, models=found, format=format, preview=preview)
    with closing(for_each(work, pending, workers=workers)) as done:
        for _, frames in progress(done, len(pending)):
            if isinstance(frames, DataError):
                result.problems += frames.problems
            else:
                result.extracted, result.frames = result.extracted + 1, result.frames + frames
    result.problems.sort()
    return result


def _jobs(source: Path, out_dir: Path, options: dict[str, Any]) -> tuple[list[_Job], str]:
    annotations = [name for name in DEFAULT_FILES if (source / name).is_file()]
    if not annotations:
        folder = find_videos(source, out_dir)
        videos = [(name, path, path.stat() if path.exists() else None) for name, path in folder.videos]
        return [
            _Job(name, path, out_dir / name, {"bytes": stat and stat.st_size, **options}) for name, path, stat in videos
        ], folder.left_out_text
    from hearai.data.annotations.rows import read_annotations

    clips = {clip.name: clip for file in annotations for clip in read_annotations(source, file, {}, frames=True)}
    return [
        _Job(name, source, out_dir / name, {"frames": clip.end + 1, **options}, clip) for name, clip in clips.items()
    ], ""


def _record(job: _Job, format: str) -> Mapping[str, Any] | None:
    """What an earlier command noted about the clip's file; None if there is none."""
    path = job.file("json") if format == "pose" else job.file("npz")
    if not job.file(format).is_file():
        return None
    with suppress(OSError, ValueError, KeyError, EOFError):
        if format == "pose":
            return json.loads(path.read_bytes())[SOURCE]
        with np.load(path, allow_pickle=False) as file:
            return json.loads(file[SOURCE].tobytes())
    return None


def _extract(job: _Job, *, models: Mapping[str, Path], format: str, preview: bool) -> int:
    """Writes the files of one clip; the number of its frames.

    Raises:
        DataError: its video or frames are broken, or show no person.
    """
    from hearai.data.videos import read_video

    video = None if job.clip else read_video(job.origin)
    fps = job.clip.fps if job.clip else video.fps if video else None
    try:
        extracted = extract(_images(job, video), fps, models)
    except DataError as error:
        where = f"{job.origin / job.name if job.clip else job.origin}: "
        raise DataError([one if one.startswith(str(job.origin)) else where + one for one in error.problems]) from None
    job.target.mkdir(parents=True, exist_ok=True)
    if preview:
        _write_preview(job, _images(job, video), extracted)
    if job.clip is None:
        about = {"FPS": fps} if fps else {"no_FPS": "the video gives no times"}
        atomic_write_text(job.target / properties_file(job.target.name), json.dumps(about, indent=1) + "\n")
    _write(job, extracted, format)
    return extracted.landmarks.frames


def _images(job: _Job, video: Any) -> Iterator[np.ndarray]:
    if job.clip is None:
        yield from video
        return
    from hearai.data.images import read_image

    for frame in range(job.clip.end + 1):
        path = job.clip.frame_path(frame)
        # A row of a landmark file is the frame of its number: those before `start` may not exist.
        yield np.asarray(read_image(path)) if frame >= job.clip.start else np.zeros((64, 64, 3), np.uint8)


def _write(job: _Job, extracted: Extracted, format: str) -> None:
    if format == "pose":
        atomic_write_text(job.file("json"), json.dumps({SOURCE: job.record}, indent=1) + "\n")
        write_pose_file(job.file("pose"), extracted.landmarks, extracted.size)
        return
    extracted.landmarks.save(job.file("npz"), **{SOURCE: np.frombuffer(json.dumps(job.record).encode(), np.uint8)})


def _write_preview(job: _Job, images: Iterator[np.ndarray], extracted: Extracted) -> None:
    from PIL import Image, ImageDraw

    middle = extracted.landmarks.frames // 2
    image = Image.fromarray(next(one for number, one in enumerate(images) if number == middle))
    draw = ImageDraw.Draw(image)
    points = extracted.landmarks.points[middle, :, :2] * np.array(image.size)
    for first, second in BONES:
        if not np.isnan(points[[first, second]]).any():
            draw.line([*map(float, points[first]), *map(float, points[second])], fill=(0, 200, 0), width=2)
    for x, y in points[~np.isnan(points[:, 0])]:
        draw.ellipse([x - DOT, y - DOT, x + DOT, y + DOT], fill=(255, 0, 0))
    image.save(job.target / f"{job.target.name}_preview.jpg", quality=90)
