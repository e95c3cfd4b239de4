"""A folder of videos -> a dataset folder of frames."""

import errno
import io
import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hearai.data.annotations.clip import frame_file, properties_file
from hearai.data.annotations.problems import raise_problems
from hearai.data.tools.output_folder import find_conflicts, partial_folder, replacing_folder
from hearai.data.tools.process_pool import Progress, for_each, no_progress
from hearai.data.videos import SUFFIXES, read_video
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
    """One for every broken video. No folder is written for it; the folder of an earlier, intact version stays."""
    notes: list[str] = field(default_factory=list)


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
    progress: Progress = no_progress,
) -> ExtractionResult:
    """Writes OUT_DIR/NAME/NAME_0.jpg ... and NAME_properties.json for every VIDEO_DIR/NAME.mp4, .webm or .mov.

    A clip's folder is complete or absent; one that exists and matches its video and the arguments is kept. Hidden
    files are ignored. A video that cannot be read is in the result's `problems`; the others are extracted.

    Args:
        size: shorter side of the images, pixels, 1..8192; None keeps the video's size.
        quality: of the JPEGs, 1..100.
        workers: processes; None = one per core, 1 = this process. The result is the same.
        overwrite: extract everything again, also over folders that were not made from videos.
        progress: shows the videos that are done.

    Raises:
        DataError: VIDEO_DIR is unusable, videos share a name, OUT_DIR contains something else, the disk is full.
    """
    _check_range("size", size, MAX_SIZE)
    _check_range("quality", quality, 100)
    videos = _find_videos(video_dir, out_dir)
    options = {"size": size, "quality": quality}
    jobs = [_Job(name, path, out_dir / name, _source_record(video_dir, path) | options) for name, path in videos]
    raise_problems([] if overwrite else [problem for job in jobs if (problem := _target_problem(job))])
    pending = [job for job in jobs if overwrite or not _is_complete(job)]
    notes = [note for job in jobs for note in _notes(job)]
    result = ExtractionResult(len(jobs), complete=len(jobs) - len(pending), notes=notes)
    if not pending:
        return result
    with partial_folder(out_dir) as unfinished:
        work = partial(_extract, unfinished=unfinished, size=size, quality=quality)
        with closing(for_each(work, pending, workers=workers)) as done:
            for _, frames in progress(done, len(pending)):
                if isinstance(frames, DataError):
                    result.problems += frames.problems
                else:
                    result.extracted, result.frames = result.extracted + 1, result.frames + frames
    result.problems.sort()
    return result


def _check_range(name: str, value: int | None, largest: int) -> None:
    if value is not None and not 1 <= value <= largest:
        raise DataError(f"{name}: got {value}; expected 1..{largest}")


def _find_videos(video_dir: Path, out_dir: Path) -> list[tuple[str, Path]]:
    """(NAME, path) of the videos in a folder and its subfolders, sorted; all of them can be extracted to OUT_DIR."""
    if not video_dir.is_dir():
        raise DataError(f"{video_dir}: not a directory; expected a folder of videos")
    if video_dir.resolve() in (out_dir.resolve(), *out_dir.resolve().parents):
        raise DataError(f"{out_dir}: inside the folder of the videos; choose another OUT_DIR")
    paths: dict[str, list[Path]] = {}
    other_suffixes = set()
    for path in _visible_files(video_dir):
        if path.suffix.lower() in SUFFIXES:
            paths.setdefault(path.relative_to(video_dir).with_suffix("").as_posix(), []).append(path)
        else:
            other_suffixes.add(path.suffix or path.name)
    if not paths:
        found = f"found {', '.join(sorted(other_suffixes)[:5])}" if other_suffixes else "it is empty"
        raise DataError(f"{video_dir}: contains no videos ({found}); expected files ending in {', '.join(SUFFIXES)}")
    duplicates = [
        f"{' and '.join(map(str, sorted(same)))}: have the same name {name}; expected one video per name"
        for name, same in paths.items()
        if len(same) > 1
    ]
    raise_problems(sorted(duplicates) + find_conflicts(paths, out_dir, video_dir))
    return sorted((name, path) for name, (path,) in paths.items())


def _visible_files(folder: Path) -> Iterator[Path]:
    """The files of a folder and its subfolders, without hidden ones."""
    for parent, folders, files in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, file) for file in files if not file.startswith("."))


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot read ({error.strerror}); expected a folder of videos")


def _source_record(video_dir: Path, path: Path) -> dict[str, Any]:
    source: dict[str, Any] = {"video": path.relative_to(video_dir).as_posix()}
    try:
        stat = path.stat()
    except OSError:
        return {"source": source}  # a broken symlink; reported when the video is read
    return {"source": source | {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}}


def _notes(job: _Job) -> list[str]:
    if job.name.split() == [job.name]:
        return []
    return [f"{job.video}: the name contains whitespace, so no annotation row can refer to the clip"]


def _read_properties(job: _Job) -> dict[str, Any] | None:
    """What an earlier command wrote about the clip; None if its folder was not made from a video."""
    try:
        properties = json.loads(job.properties.read_bytes())
    except (OSError, ValueError):
        return None
    is_extracted = isinstance(properties, dict) and {"frames", *job.record} <= properties.keys()
    return properties if is_extracted and isinstance(properties["frames"], int) else None


def _target_problem(job: _Job) -> str | None:
    is_empty_folder = job.target.is_dir() and not any(job.target.iterdir())
    if not job.target.exists() or _read_properties(job) or is_empty_folder:
        return None
    return f"{job.target}: exists and was not made from a video; choose another OUT_DIR, or give --overwrite"


def _is_complete(job: _Job) -> bool:
    properties = _read_properties(job)
    if not properties or any(properties[key] != value for key, value in job.record.items()):
        return False
    files = set(os.listdir(job.target))
    return all(frame_file(job.target.name, i) in files for i in range(properties["frames"]))


def _extract(job: _Job, *, unfinished: Path, size: int | None, quality: int) -> int:
    """Writes one clip's folder; returns the number of its frames.

    Raises:
        DataError: the video is broken.
        OSError: the folder cannot be written.
    """
    video, count = read_video(job.video), 0
    try:
        with replacing_folder(job.target, unfinished) as folder:
            for image_HWC in video:
                image = _resize(image_HWC, size)
                (folder / frame_file(job.target.name, count)).write_bytes(_encode_jpeg(image, quality))
                count += 1
            rate: dict[str, Any] = {"FPS": video.fps} if video.fps else {"no_FPS": "the video gives no times"}
            if video.is_variable:
                rate["FPS_note"] = "an average: the frame rate varies"
            content = {"frames": count, "width": image.width, "height": image.height}
            text = json.dumps({**rate, **content, **job.record}, indent=1)
            (folder / job.properties.name).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise DataError(f"{job.video}: the name is too long for the files of the clip; shorten it") from None
        raise
    return count


def _encode_jpeg(image: Image.Image, quality: int) -> bytes:
    """The file's bytes: when Pillow writes the file itself, it does not notice that a full disk cut it short."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def _resize(image_HWC: np.ndarray, size: int | None) -> Image.Image:
    image = Image.fromarray(image_HWC)
    if size is None:
        return image
    scale = size / min(image.size)
    width, height = (max(round(side * scale), size) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
