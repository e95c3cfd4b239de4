"""Landmark files -> normalised points. T frames, P points, C channels (x, y, z, known).

A clip's file `NAME/NAME.npz` holds arrays `left_hand`, `right_hand` (F, 21, 2 or 3), `pose` (F, 33, 2 or 3) and maybe
`face`, one row a frame from frame 0 on, x and y as shares of the picture's width and height (MediaPipe's output). An
array may be left out. A point that was not seen is NaN, or 0 in x and in y, and is masked: no number stands for it.
"""

import functools
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.problems import raise_problems
from hearai.errors import DataError
from hearai.sign.skeleton import CHANNELS, FACE, MIRRORED, PARTS, SHOULDERS

KEPT_CLIPS = 2048
"""Clips whose points stay in memory: 60 frames take 72 KB."""


class WrongLandmarks(ValueError):
    """What is wrong with a landmark file, and what is due, without the file's name."""


def read_landmarks(clip: Clip, frames: Sequence[int]) -> torch.Tensor:
    """(T, P, C) of the given frame numbers, normalised over the clip; see `normalise_points`.

    Raises:
        DataError: the clip's landmark file is missing or wrong.
    """
    return _clip_points(clip.landmarks_path, clip.start, clip.end)[[frame - clip.start for frame in frames]]


def count_frames(path: Path) -> int:
    """How many frames a landmark file has rows for: those of its shortest array.

    Raises:
        DataError: the file is missing or wrong.
    """
    try:
        arrays = _read_arrays(path)
        for name, array in arrays.items():
            _check_array(name, array, 1)
    except WrongLandmarks as problem:
        raise DataError(f"{path}: {problem}") from None
    return min(map(len, arrays.values()))


def check_landmarks(path: Path, rows: int) -> list[str]:
    """What is wrong with a landmark file whose first `rows` frames are used; nothing that is in it is ever run."""
    try:
        _read_file(path, rows)
    except WrongLandmarks as problem:
        return [f"{path}: {problem}"]
    return []


def check_all_landmarks(clips: Iterable[Clip]) -> None:
    """Reads the landmark file of every clip.

    Raises:
        DataError: every file that is wrong.
    """
    raise_problems([problem for clip in clips for problem in check_landmarks(clip.landmarks_path, clip.end + 1)])


@functools.lru_cache(maxsize=KEPT_CLIPS)
def _clip_points(path: Path, start: int, end: int) -> torch.Tensor:
    try:
        points = _read_file(path, end + 1)[start : end + 1]
    except WrongLandmarks as problem:
        raise DataError(f"{path}: {problem}") from None
    return torch.from_numpy(normalise_points(points))


def _read_file(path: Path, rows: int) -> np.ndarray:
    """(rows, P, 3), NaN where a point is not known.

    Raises:
        WrongLandmarks: it cannot be read, or holds something else.
    """
    arrays = _read_arrays(path)
    for name, array in arrays.items():
        _check_array(name, array, rows)
    whole = [_part(arrays.get(name), rows, count) for name, count in PARTS.items()]
    points = np.concatenate(whole, axis=1)
    if np.isnan(points[..., 0]).all():
        raise WrongLandmarks("no point is known in any frame; leave the clip out, or find its landmarks again")
    return points


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays that are known by name; at least one of them is read by models."""
    try:
        with np.load(path, allow_pickle=False) as file:  # an array alone (.npy) is no context: a TypeError
            arrays = {name: file[name] for name in (*PARTS, FACE) if name in file.files}
    except (
        OSError,
        ValueError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        NotImplementedError,
    ) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0] or type(error).__name__
        raise WrongLandmarks(f"cannot be read ({reason}); an .npz file of number arrays is due") from None
    if not arrays.keys() & PARTS.keys():
        raise WrongLandmarks(f"holds none of {', '.join(PARTS)}; at least one of these arrays is due")
    return arrays


def _check_array(name: str, array: np.ndarray, rows: int) -> None:
    due = f"({rows} or more, {PARTS.get(name, 'any')}, 2 or 3)"
    if array.ndim != 3 or array.shape[1] != PARTS.get(name, array.shape[1]) or array.shape[2] not in (2, 3):
        raise WrongLandmarks(f"{name} has the shape {array.shape}; {due} is due")
    if len(array) < rows:
        raise WrongLandmarks(f"{name} has {len(array)} rows; one a frame is due, {rows} for frames 0..{rows - 1}")
    if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise WrongLandmarks(f"{name} holds {array.dtype}; numbers are due")
    if np.isinf(array).any():
        raise WrongLandmarks(f"{name} holds an infinite number; a share of the picture is due, NaN where not seen")


def _part(array: np.ndarray | None, rows: int, count: int) -> np.ndarray:
    points = np.full((rows, count, 3), np.nan, np.float32)
    if array is not None:
        points[..., : array.shape[2]] = array[:rows]
        unseen = np.isnan(points[..., :2]).any(-1) | (points[..., :2] == 0).all(-1)
        points[unseen] = np.nan
    return points


def normalise_points(points: np.ndarray) -> np.ndarray:
    """(T, P, 3) with NaN where not known -> (T, P, C): the shoulders' middle is 0, their distance 1.

    Both are means over the clip, so that a shrug stays one. Where no frame has both shoulders, the middle of all
    known points and twice their mean distance from it take their place. Unknown points are 0 in every channel, z is 0
    where a file has none. x and y are shares of the picture: in a picture that is not square they keep its stretch.
    """
    known = ~np.isnan(points[..., 0])
    first, second = (points[:, shoulder, :2] for shoulder in SHOULDERS)
    both = known[:, SHOULDERS[0]] & known[:, SHOULDERS[1]]
    scale = np.linalg.norm(first[both] - second[both], axis=-1).mean() if both.any() else 0.0
    if scale > 1e-6:
        middle = ((first[both] + second[both]) / 2).mean(0)
    else:
        middle = points[known][:, :2].mean(0)
        scale = 2 * np.linalg.norm(points[known][:, :2] - middle, axis=-1).mean() or 1.0
    places = (points - np.append(middle, 0)) / scale
    found = np.zeros((*points.shape[:2], CHANNELS), np.float32)
    found[..., :3] = np.nan_to_num(np.where(known[..., None], places, 0))
    found[..., 3] = known
    return found


def mirrored(points: torch.Tensor) -> torch.Tensor:
    """(..., P, C) of the mirror image: x turned round, left and right exchanged."""
    sign_C = points.new_tensor([-1, 1, 1, 1])
    return points[..., list(MIRRORED), :] * sign_C


def rotated(points: torch.Tensor, degrees: float) -> torch.Tensor:
    """(..., P, C) of the picture turned counter-clockwise, round the shoulders' middle; y points down."""
    turn = torch.deg2rad(torch.tensor(float(degrees)))
    sin, cos = turn.sin(), turn.cos()
    x, y, rest = points[..., 0], points[..., 1], points[..., 2:]
    return torch.cat((torch.stack((cos * x + sin * y, cos * y - sin * x), -1), rest), -1)
