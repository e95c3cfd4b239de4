"""Clips that a user gives one by one, without labels: frame folders and video files."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from PIL import Image

from hearai.config.validation import FrozenDict
from hearai.data.annotations.clip import Clip, frames_on_disk
from hearai.data.annotations.clip_files import no_fps_reason, read_fps
from hearai.data.annotations.problems import raise_problems
from hearai.data.landmarks import count_frames
from hearai.data.videos import read_video
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING

QUALITY = 95
"""Of the JPEGs that a video's frames become on their way: the model was trained on such."""


@contextmanager
def unlabelled_clips(
    paths: Sequence[Path],
    heads: Iterable[str],
    *,
    frames: bool = True,
    landmarks: bool = False,
    needs_fps: bool = False,
) -> Iterator[list[Clip]]:
    """A clip for each frame folder (NAME/NAME_0.jpg ...) or video file, in their order; no head has a label.

    Args:
        frames: the model reads pictures.
        landmarks: it reads NAME/NAME.npz, which a video does not have.
        needs_fps: it looks at frames some seconds apart.

    The frames of videos lie in a temporary folder while the context lasts.

    Raises:
        DataError: every path that is no clip, and why.
    """
    labels = FrozenDict(dict.fromkeys(heads, MISSING))
    clips: list[Clip] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hearai-") as workshop:
        for number, path in enumerate(paths):
            try:
                place = Path(workshop, str(number))
                clip = _clip(path, place, labels, frames=frames, landmarks=landmarks)
                if needs_fps and clip.fps is None:
                    raise DataError(_no_fps(path, clip))
                clips.append(clip)
            except DataError as error:
                problems += error.problems
        raise_problems(problems)
        yield clips


def _clip(path: Path, workshop: Path, labels: FrozenDict, *, frames: bool, landmarks: bool) -> Clip:
    if path.is_dir():
        return _folder_clip(path, labels, frames=frames, landmarks=landmarks)
    if landmarks and path.exists():
        raise DataError(f"{path}: a video, but the model reads landmarks; a folder NAME with NAME.npz is due")
    return _video_clip(path, workshop, labels)


def _no_fps(path: Path, clip: Clip) -> str:
    return (
        f"{path}: its frames per second are not known, and the model looks at frames some time apart; "
        f'{clip.properties_path.name} with {{"FPS": frames per second}} is due'
    )


def _folder_clip(path: Path, labels: FrozenDict, *, frames: bool, landmarks: bool) -> Clip:
    path = path.resolve()
    whole = Clip(path.name, path.parent, 0, 0, labels)
    rows = count_frames(whole.landmarks_path) if landmarks else None
    first, last = _frame_numbers(path, whole) if frames else (0, rows - 1)
    if rows is not None and last >= rows:
        raise DataError(f"{whole.landmarks_path}: has {rows} rows; one a frame is due, {last + 1} for frames 0..{last}")
    return replace(whole, start=first, end=last, fps=_fps(whole.properties_path))


def _frame_numbers(path: Path, clip: Clip) -> tuple[int, int]:
    """First and last; every one between them is there."""
    numbers = sorted(frames_on_disk(path.name, (file.name for file in path.iterdir())))
    if not numbers:
        others = ", ".join(sorted(file.name for file in path.iterdir())[:3]) or "nothing"
        raise DataError(f"{path}: holds no frames (found {others}); {path.name}_0.jpg, {path.name}_1.jpg, ... are due")
    hole = next((a + 1 for a, b in pairwise(numbers) if b != a + 1), None)
    if hole is not None:
        raise DataError(f"{clip.frame_path(hole)}: missing; every frame of {numbers[0]}..{numbers[-1]} is due")
    return numbers[0], numbers[-1]


def _fps(path: Path) -> float | None:
    if not path.exists() or no_fps_reason(path):
        return None
    fps = read_fps(path)
    if fps is None:
        raise DataError(f'{path}: is wrong; {{"FPS": frames per second}} is due')
    return fps


def _video_clip(path: Path, workshop: Path, labels: FrozenDict) -> Clip:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; a frame folder or a video file is due")
    video, count = read_video(path), 0
    clip = Clip(path.stem, workshop, 0, 0, labels)
    (workshop / clip.name).mkdir(parents=True)
    for picture in video:
        Image.fromarray(picture).save(clip.frame_path(count), quality=QUALITY)
        count += 1
    return Clip(clip.name, workshop, 0, count - 1, labels, fps=video.fps)
