"""Clips given one by one, without labels: frame folders and video files."""

import logging
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from hearai.config.field_types import IMAGE_ENDINGS, FrozenDict
from hearai.data.annotations.clip import Clip, find_frames
from hearai.data.annotations.clip_files import read_fps, read_no_fps_reason
from hearai.data.annotations.frame_naming import OUR_PATTERN, find_naming, suggest_pattern
from hearai.data.annotations.problems import raise_problems
from hearai.data.annotations.text_files import quoted
from hearai.data.images import read_image
from hearai.data.landmarks.clip_points import count_frames
from hearai.data.videos import read_video
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING

log = logging.getLogger(__name__)

JPEG_QUALITY = 95
"""Of the temporary frames of a video: the model was trained on JPEGs."""


@contextmanager
def unlabelled_clips(
    paths: Sequence[Path],
    heads: Iterable[str],
    *,
    frames: bool = True,
    landmarks: bool = False,
    needs_fps: bool = False,
    keep_damaged: bool = False,
    frame_patterns: Sequence[str | None] = (None,),
    landmark_models: Path | None = None,
    face: bool = False,
) -> Iterator[list[Clip]]:
    """A clip for each frame folder (NAME/NAME_0.jpg ...) or video file, in their order; no head has a label.

    The frames of videos are in a temporary folder for the duration of the context.

    Args:
        frames: the model reads images.
        landmarks: the model reads NAME/NAME.npz, which is extracted from a video.
        needs_fps: the model reads frames a given time apart.
        frame_patterns: names that the frames in a folder may have; None = our own. Of these, only one may occur in it.
        landmark_models: folder of MediaPipe's models; None = the cache.
        face: the model reads the face mesh, which is then extracted from videos, too.
        keep_damaged: use the readable frames of truncated and damaged videos; the log says what is wrong with them.

    Raises:
        DataError: every path that is not a usable clip, and why.
    """
    labels = FrozenDict(dict.fromkeys(heads, MISSING))
    clips: list[Clip] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hearai-") as temporary:
        for number, path in enumerate(paths):
            try:
                if path.is_dir():
                    clip = _folder_clip(path, labels, frame_patterns if frames else (), landmarks=landmarks)
                else:
                    clip = _video_clip(path, Path(temporary, str(number)), labels, keep_damaged=keep_damaged)
                    if landmarks:
                        _extract_landmarks(path, clip, landmark_models, face=face)
                if needs_fps and clip.fps is None:
                    raise DataError(_no_fps(path, clip))
                clips.append(clip)
            except DataError as error:
                problems += error.problems
        raise_problems(problems)
        yield clips


def _extract_landmarks(path: Path, clip: Clip, models: Path | None, *, face: bool) -> None:
    """Writes the landmark file of a video's clip, from its frames."""
    from hearai.data.landmarks.extraction import extract, require_mediapipe
    from hearai.data.landmarks.mediapipe_models import find_models

    try:
        require_mediapipe()
        images = (np.asarray(read_image(clip.frame_path(frame))) for frame in range(clip.end + 1))
        extract(images, clip.fps, find_models(models, face=face)).landmarks.save(clip.landmarks_path)
    except DataError as error:
        first, *others = error.problems
        expected = "or give a folder NAME with NAME.npz"
        raise DataError([f"{path}: a video, and the model reads landmarks: {first}", *others, expected]) from None


def _no_fps(path: Path, clip: Clip) -> str:
    return (
        f"{path}: its frames per second are unknown, and the model reads frames a given time apart; "
        f'expected {clip.properties_path.name} with {{"FPS": frames per second}}'
    )


def _folder_clip(path: Path, labels: FrozenDict, patterns: Sequence[str | None], *, landmarks: bool) -> Clip:
    """patterns: of the files of its frames; none = images are not read."""
    path = path.resolve()
    clip = Clip(path.name, path.parent, 0, 0, labels)
    rows = count_frames(clip.landmarks_path) if landmarks else None
    if patterns:
        clip, first, last = _with_frames(path, clip, patterns)
    else:
        assert rows is not None, "a model reads frames, landmarks or both"
        first, last = 0, rows - 1
    if rows is not None and last >= rows:
        raise DataError(
            f"{clip.landmarks_path}: has {rows} rows; expected one per frame, {last + 1} for frames 0..{last}"
        )
    return replace(clip, start=first, end=last, fps=_read_fps(clip.properties_path))


def _with_frames(path: Path, clip: Clip, patterns: Sequence[str | None]) -> tuple[Clip, int, int]:
    """The clip with the names of its files; its first and last frame. Every one between them exists."""
    files = sorted(file.name for file in path.iterdir())
    found = {pattern: numbers for pattern in patterns if (numbers := sorted(find_frames(path.name, files, pattern)))}
    if not found:
        raise DataError(_no_frames(path, files, patterns))
    if len({tuple(find_frames(path.name, files, pattern).items()) for pattern in found}) > 1:
        shown = " and ".join(pattern or OUR_PATTERN for pattern in found)
        raise DataError(f"{path}: has frames named {shown}; say with --frame-pattern which are meant")
    (pattern, numbers), *_ = found.items()
    first, last = numbers[0], numbers[-1]
    if pattern is not None:
        naming, unlike = find_naming(pattern, path.name, files, first, last)
        if unlike:
            shown = " and ".join(map(quoted, unlike))
            raise DataError(
                f"{path}: frames are numbered in two ways, such as {shown}; expected those of one recording"
            )
        clip = replace(clip, naming=naming)
    gap = next((a + 1 for a, b in pairwise(numbers) if b != a + 1), None)
    if gap is not None:
        raise DataError(f"{clip.frame_path(gap)}: missing; expected every frame of {first}..{last}")
    return clip, first, last


def _no_frames(path: Path, files: Sequence[str], patterns: Sequence[str | None]) -> str:
    shown = ", ".join(files[:3]) or "nothing"
    ours = f"{path.name}_0.jpg, {path.name}_1.jpg, ..."
    expected = ", or ".join(ours if pattern is None else f"files that fit {pattern}" for pattern in patterns)
    images = [file for file in files if file.lower().endswith(IMAGE_ENDINGS)]
    suggested = suggest_pattern(path.name, images)
    remedy = f"; for these names give --frame-pattern {shlex.quote(suggested)}" if suggested else ""
    return f"{path}: contains no frames (found {shown}); expected {expected}{remedy}"


def _read_fps(path: Path) -> float | None:
    if not path.exists() or read_no_fps_reason(path):
        return None
    fps = read_fps(path)
    if fps is None:
        raise DataError(f'{path}: invalid; expected {{"FPS": frames per second}}')
    return fps


def _video_clip(path: Path, temporary: Path, labels: FrozenDict, *, keep_damaged: bool) -> Clip:
    if not path.exists():
        raise DataError(f"{path}: no such file or directory; expected a frame folder or a video file")
    video, count = read_video(path, keep_damaged=keep_damaged), 0
    clip = Clip(path.stem, temporary, 0, 0, labels)
    (temporary / clip.name).mkdir(parents=True)
    for image_HWC in video:
        Image.fromarray(image_HWC).save(clip.frame_path(count), quality=JPEG_QUALITY)
        count += 1
    for note in [*video.notes, *([video.remark] if video.remark else [])]:
        log.info("%s: %s", path, note)
    return Clip(clip.name, temporary, 0, count - 1, labels, fps=video.fps)
