"""A folder of videos -> a folder of frame folders, as the data contract wants them."""

import errno
import io
import json
import os
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from hearai.data.annotations.problems import raise_problems
from hearai.data.tools.output_folder import misplaced, placing, workshop
from hearai.data.tools.process_pool import for_each
from hearai.data.videos import SUFFIXES, read_video
from hearai.errors import DataError

T = TypeVar("T")

MOST_PIXELS = 8192
"""Bound on `size`: a typing error must not fill the disk."""


@dataclass
class Extraction:
    """What became of the videos."""

    videos: int
    complete: int = 0
    """Were there already."""
    extracted: int = 0
    frames: int = 0
    """Written now, all videos together."""
    problems: list[str] = field(default_factory=list)
    """One for every broken video; no folder is written for it, one of an earlier, whole version stays."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    name: str
    """Of the clip: the video's path in its folder, without the suffix."""
    video: Path
    target: Path
    record: dict[str, Any]
    """What the frames are made from and how; kept in the properties, and compared with the next time."""


def extract_frames(
    video_dir: Path,
    out_dir: Path,
    *,
    size: int | None = None,
    quality: int = 90,
    workers: int | None = None,
    overwrite: bool = False,
    watch: Callable[[Iterable[T], int], Iterable[T]] = lambda jobs, total: jobs,
) -> Extraction:
    """Writes OUT_DIR/NAME/NAME_0.jpg ... and NAME_properties.json for every VIDEO_DIR/NAME.mp4, .webm or .mov.

    A clip's folder is complete or not there; one that is there and fits its video and the arguments is kept. Hidden
    files are not looked at. A video that cannot be read is in the result's `problems`, the others are extracted.

    Args:
        size: shorter side of the pictures, pixels, 1..8192; None keeps the video's size.
        quality: of the JPEGs, 1..100.
        workers: processes; None = one per core, 1 = this process. The result is the same.
        overwrite: extract everything again, also over folders that were not made from videos.
        watch: handed (videos as they are done, how many); for a progress bar.

    Raises:
        DataError: VIDEO_DIR cannot be used, videos share a name, OUT_DIR holds something else, the disk is full.
    """
    _check_range("size", size, MOST_PIXELS)
    _check_range("quality", quality, 100)
    videos = _find_videos(video_dir, out_dir)
    options = {"size": size, "quality": quality}
    jobs = [_Job(name, path, out_dir / name, _record(video_dir, path) | options) for name, path in videos]
    raise_problems([] if overwrite else [p for job in jobs if (p := _foreign(job))])
    todo = [job for job in jobs if overwrite or not _is_complete(job)]
    result = Extraction(len(jobs), complete=len(jobs) - len(todo), notes=[n for job in jobs for n in _notes(job)])
    if not todo:
        return result
    with workshop(out_dir) as unfinished:
        work = partial(_extract, unfinished=unfinished, size=size, quality=quality)
        with closing(for_each(work, todo, workers=workers)) as done:
            for _, frames in watch(done, len(todo)):
                if isinstance(frames, DataError):
                    result.problems += frames.problems
                else:
                    result.extracted, result.frames = result.extracted + 1, result.frames + frames
    result.problems.sort()
    return result


def _check_range(name: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise DataError(f"{name}: got {value}; 1..{most} is allowed")


def _find_videos(video_dir: Path, out_dir: Path) -> list[tuple[str, Path]]:
    """(NAME, path) of the videos in a folder and its sub folders, sorted; all are fit to be extracted."""
    if not video_dir.is_dir():
        raise DataError(f"{video_dir}: is no folder; a folder of videos is due")
    if video_dir.resolve() in (out_dir.resolve(), *out_dir.resolve().parents):
        raise DataError(f"{out_dir}: lies in the folder of the videos, which is only read; another OUT_DIR is due")
    paths: dict[str, list[Path]] = {}
    others = set()
    for folder, folders, files in os.walk(video_dir, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(folder, file) for file in files if not file.startswith(".")):
            if path.suffix.lower() in SUFFIXES:
                paths.setdefault(path.relative_to(video_dir).with_suffix("").as_posix(), []).append(path)
            else:
                others.add(path.suffix or path.name)
    if not paths:
        found = f"found {', '.join(sorted(others)[:5])}" if others else "it is empty"
        raise DataError(f"{video_dir}: holds no video ({found}); files ending in {', '.join(SUFFIXES)} are due")
    twice = [
        f"{' and '.join(map(str, sorted(same)))}: have the same name {name}; one video a name is allowed"
        for name, same in paths.items()
        if len(same) > 1
    ]
    raise_problems(sorted(twice) + misplaced(paths, out_dir, video_dir))
    return sorted((name, path) for name, (path,) in paths.items())


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); a folder of videos is due")


def _record(video_dir: Path, path: Path) -> dict[str, Any]:
    source: dict[str, Any] = {"video": path.relative_to(video_dir).as_posix()}
    try:
        stat = path.stat()
    except OSError:
        return {"source": source}  # a dangling link; reading the video will say so
    return {"source": source | {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}}


def _notes(job: _Job) -> list[str]:
    if job.name.split() == [job.name]:
        return []
    return [f"{job.video}: the name has white space, so that no annotation row can name the clip"]


def _properties(job: _Job) -> dict[str, Any] | None:
    """What an earlier run wrote about the clip; None where its folder was not made from a video."""
    try:
        properties = json.loads((job.target / f"{job.target.name}_properties.json").read_bytes())
    except (OSError, ValueError):
        return None
    made_here = isinstance(properties, dict) and {"frames", *job.record} <= properties.keys()
    return properties if made_here and isinstance(properties["frames"], int) else None


def _foreign(job: _Job) -> str | None:
    if not job.target.exists() or _properties(job) or (job.target.is_dir() and not any(job.target.iterdir())):
        return None
    return f"{job.target}: is there and was not made from a video; an OUT_DIR without it is due, or --overwrite"


def _is_complete(job: _Job) -> bool:
    properties = _properties(job)
    if not properties or any(properties[key] != value for key, value in job.record.items()):
        return False
    files = set(os.listdir(job.target))
    return all(f"{job.target.name}_{i}.jpg" in files for i in range(properties["frames"]))


def _extract(job: _Job, *, unfinished: Path, size: int | None, quality: int) -> int:
    """Writes one clip's folder; the number of its frames.

    Raises:
        DataError: the video is broken.
        OSError: the folder cannot be written.
    """
    video, stem, count = read_video(job.video), job.target.name, 0
    try:
        with placing(job.target, unfinished) as folder:
            for picture_HWC in video:
                picture = _scaled(picture_HWC, size)
                (folder / f"{stem}_{count}.jpg").write_bytes(_jpeg(picture, quality))
                count += 1
            fps = {"FPS": video.fps} if video.fps else {"no_FPS": "the video gives no times"}
            if video.variable:
                fps["FPS_note"] = "an average: the frame rate varies"
            about = {"frames": count, "width": picture.width, "height": picture.height}
            text = json.dumps({**fps, **about, **job.record}, indent=1)
            (folder / f"{stem}_properties.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise DataError(f"{job.video}: the name is too long for files that begin with it") from None
        raise
    return count


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    """The file's bytes: Pillow itself would not notice that a full disk took only some of them."""
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality)
    return data.getvalue()


def _scaled(picture_HWC: np.ndarray, size: int | None) -> Image.Image:
    picture = Image.fromarray(picture_HWC)
    if size is None:
        return picture
    scale = size / min(picture.size)
    width, height = (max(round(side * scale), size) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)
