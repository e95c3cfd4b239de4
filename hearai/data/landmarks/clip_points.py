"""Landmark files -> normalised points. T frames, P points, C channels (x, y, z, known).

A clip's file `NAME/NAME.npz` contains arrays `left_hand`, `right_hand` (F, 21, 2 or 3), `pose` (F, 33, 2 or 3) and
optionally `face` (F, any, 2 or 3; read if it is a face mesh), one row per frame from frame 0 on, x and y as shares of
the image's width and height (MediaPipe's output). An array may be left out. A point that was not detected is NaN, or 0
in both x and y, and is masked.
"""

import functools
import lzma
import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.problems import raise_problems
from hearai.data.media.array_header import read_array_header
from hearai.errors import DataError, load_failure
from hearai.sign.skeleton import CHANNELS, FACE, FACE_POINTS, LARGE_MESH, MIRRORED, PARTS, POINTS, SHOULDERS, SMALL_MESH

CACHED_CLIPS = 2048
"""Clips whose points stay in memory; 60 frames take 72 KB."""

MAX_BYTES = 1_000_000_000
"""Of one array: the hands of 20 hours, or the face of an hour, at 25 frames per second."""
MESHES = (SMALL_MESH, LARGE_MESH)
ENCRYPTED = 0x1
"""Flag of a zip entry."""
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    OverflowError,
    MemoryError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
)
"""What reading a damaged archive raises."""


class InvalidLandmarks(ValueError):
    """`what was found; what is expected` of a landmark file, without its name."""


def read_landmarks(clip: Clip, frames: Sequence[int], *, face: bool = False) -> torch.Tensor:
    """(T, P, C) of the given frame numbers, normalised over the clip; see `normalise_points`.

    Args:
        face: `FACE_POINTS` follow the points of hands and body; unknown in a file without a face mesh.

    Raises:
        DataError: the clip's landmark file is missing or invalid.
    """
    path = clip.landmarks_path
    return _clip_points(path, _version(path), clip.start, clip.end, face)[[frame - clip.start for frame in frames]]


def read_image_points(path: Path, rows: int) -> np.ndarray:
    """(rows, P, 3): hands and body in the first `rows` frames as shares of the image's size, NaN where unknown.

    Raises:
        DataError: the file is missing or invalid.
    """
    try:
        return _read_file(path, rows)
    except InvalidLandmarks as problem:
        raise DataError(f"{path}: {problem}") from None


def count_frames(path: Path) -> int:
    """The number of frames of a landmark file: the rows of its shortest array.

    Raises:
        DataError: the file is missing or invalid.
    """
    try:
        arrays = _read_arrays(path, 1)
    except InvalidLandmarks as problem:
        raise DataError(f"{path}: {problem}") from None
    return min(map(len, arrays.values()))


def check_landmarks(path: Path, rows: int) -> list[str]:
    """What is wrong with a landmark file whose first `rows` frames are used; it is never unpickled."""
    try:
        _read_file(path, rows)
    except InvalidLandmarks as problem:
        return [f"{path}: {problem}"]
    return []


def check_all_landmarks(clips: Iterable[Clip]) -> None:
    """Reads the landmark file of every clip.

    Raises:
        DataError: every invalid file.
    """
    raise_problems([problem for clip in clips for problem in check_landmarks(clip.landmarks_path, clip.end + 1)])


def _version(path: Path) -> tuple[int, ...]:
    """What changes with the file; () if there is none."""
    try:
        state = os.stat(path)
    except OSError:
        return ()
    return state.st_size, state.st_mtime_ns


@functools.lru_cache(maxsize=CACHED_CLIPS)
def _clip_points(path: Path, version: tuple[int, ...], start: int, end: int, face: bool) -> torch.Tensor:
    try:
        points = _read_file(path, end + 1, face=face)[start : end + 1]
    except InvalidLandmarks as problem:
        raise DataError(f"{path}: {problem}") from None
    return torch.from_numpy(normalise_points(points))


def _read_file(path: Path, rows: int, *, face: bool = False) -> np.ndarray:
    """(rows, P, 3), NaN where a point is unknown.

    Raises:
        InvalidLandmarks: it cannot be read, or contains something else.
    """
    arrays = _read_arrays(path, rows)
    parts = [_part_points(arrays.get(name), rows, count) for name, count in PARTS.items()]
    points = np.concatenate(parts, axis=1)
    if np.isnan(points[..., 0]).all():
        raise InvalidLandmarks("no point is known in any frame; remove the clip, or extract its landmarks again")
    return np.concatenate((points, _face_points(arrays.get(FACE), rows)), axis=1) if face else points


def _face_points(array: np.ndarray | None, rows: int) -> np.ndarray:
    chosen = array[:, FACE_POINTS] if array is not None and array.shape[1] in MESHES else None
    return _part_points(chosen, rows, len(FACE_POINTS))


def _read_arrays(path: Path, rows: int) -> dict[str, np.ndarray]:
    """The arrays with a known name; at least one of them is used by models.

    Each array's header is checked before its values are read: an entry of a few kB can stand for terabytes.

    Raises:
        InvalidLandmarks: it cannot be read, or an array cannot hold `rows` frames of landmarks.
    """
    try:
        if path.exists() and not path.is_file():
            raise InvalidLandmarks("not a file but a folder, a pipe or a device; expected an .npz file")
        with zipfile.ZipFile(path) as file:
            entries = {name: f"{name}.npy" for name in (*PARTS, FACE) if f"{name}.npy" in file.namelist()}
            arrays = {name: _read_array(file, entry, name, rows) for name, entry in entries.items()}
    except InvalidLandmarks:
        raise
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or load_failure(error)
        raise InvalidLandmarks(f"cannot read ({reason}); expected an .npz file of numeric arrays") from None
    if not arrays.keys() & PARTS.keys():
        raise InvalidLandmarks(f"contains none of {', '.join(PARTS)}; expected at least one of these arrays")
    return arrays


def _read_array(file: zipfile.ZipFile, entry: str, name: str, rows: int) -> np.ndarray:
    info = file.getinfo(entry)
    if info.flag_bits & ENCRYPTED:
        raise InvalidLandmarks(f"{name} is encrypted; expected an .npz file without a password")
    with file.open(entry) as stream:
        shape, dtype = read_array_header(stream)
        _check_header(name, shape, dtype, rows)
        size = math.prod(shape) * dtype.itemsize
        if size != (held := info.file_size - stream.tell()):
            raise InvalidLandmarks(
                f"{name} has shape {shape} of {dtype}, {size:,} bytes, but the file holds {held:,} of them; "
                "expected a complete array: extract its landmarks again"
            )
        if size > MAX_BYTES:
            raise InvalidLandmarks(f"{name} has {size / 1e9:,.1f} GB; expected at most {MAX_BYTES / 1e9:g} GB")
    with file.open(entry) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    if np.isinf(array).any():
        expected = "expected shares of the image size, NaN where a point was not detected"
        raise InvalidLandmarks(f"{name} contains an infinite number; {expected}")
    return array


def _check_header(name: str, shape: tuple[int, ...], dtype: np.dtype, rows: int) -> None:
    if dtype.hasobject:
        raise ValueError("an array of pickled objects")
    points = PARTS.get(name)
    if len(shape) != 3 or points not in (None, shape[1]) or shape[2] not in (2, 3) or min(shape) < 0:
        expected = f"({rows} or more, {points or 'any'}, 2 or 3)"
        raise InvalidLandmarks(f"{name} has shape {shape}; expected {expected}")
    if shape[0] < rows:
        raise InvalidLandmarks(f"{name} has {shape[0]} rows; expected one per frame, {rows} for frames 0..{rows - 1}")
    if not np.issubdtype(dtype, np.number) or np.issubdtype(dtype, np.complexfloating):
        raise InvalidLandmarks(f"{name} contains {dtype}; expected numbers")


def _part_points(array: np.ndarray | None, rows: int, count: int) -> np.ndarray:
    points = np.full((rows, count, 3), np.nan, np.float32)
    if array is not None:
        points[..., : array.shape[2]] = array[:rows]
        unknown = np.isnan(points[..., :2]).any(-1) | (points[..., :2] == 0).all(-1)
        points[unknown] = np.nan
    return points


def normalise_points(points: np.ndarray) -> np.ndarray:
    """(T, P, 3) with NaN where unknown -> (T, P, C): the midpoint of the shoulders is 0, their distance 1.

    Both are means over the clip, so that a shrug remains visible. If no frame has both shoulders, the centre of all
    known points of hands and body, and twice their mean distance from it, are used instead. Unknown points are 0 in
    every channel; z is 0 if the file has none. x and y are shares of the image size, so the aspect ratio of the image
    is not corrected.
    """
    known = ~np.isnan(points[..., 0])
    first, second = (points[:, shoulder, :2] for shoulder in SHOULDERS)
    both = known[:, SHOULDERS[0]] & known[:, SHOULDERS[1]]
    scale = np.linalg.norm(first[both] - second[both], axis=-1).mean() if both.any() else 0.0
    if scale > 1e-6:
        centre = ((first[both] + second[both]) / 2).mean(0)
    else:
        seen = points[:, :POINTS, :2][known[:, :POINTS]]
        centre = seen.mean(0)
        scale = 2 * np.linalg.norm(seen - centre, axis=-1).mean() or 1.0
    coordinates = (points - np.append(centre, 0)) / scale
    normalised = np.zeros((*points.shape[:2], CHANNELS), np.float32)
    normalised[..., :3] = np.nan_to_num(np.where(known[..., None], coordinates, 0))
    normalised[..., 3] = known
    return normalised


def mirrored(points: torch.Tensor) -> torch.Tensor:
    """(..., P, C) of the mirror image: x negated, left and right points swapped."""
    sign_C = points.new_tensor([-1, 1, 1, 1])
    return points[..., list(MIRRORED[: points.shape[-2]]), :] * sign_C


def rotated(points: torch.Tensor, degrees: float) -> torch.Tensor:
    """(..., P, C) rotated counter-clockwise about the midpoint of the shoulders; y points down."""
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    sin, cos = angle.sin(), angle.cos()
    x, y, rest = points[..., 0], points[..., 1], points[..., 2:]
    return torch.cat((torch.stack((cos * x + sin * y, cos * y - sin * x), -1), rest), -1)
