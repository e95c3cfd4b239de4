"""Landmarks in our order, and the steps that all foreign files share. T frames, P points."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hearai.errors import DataError
from hearai.files import atomic_write
from hearai.sign.skeleton import BODY, FACE, LARGE_MESH, LEFT, PARTS, POINTS, RIGHT, SMALL_MESH

MAX_BYTES = 1_000_000_000
"""Of a foreign file: an hour of 543 points with confidences at 25 frames per second."""
LARGEST_SHARE = 4.0
"""Coordinates beyond are pixels: a point outside the image is at most a few image sizes away."""
FACE_MESH = POINTS
"""Target of the first point of MediaPipe's face mesh, after all points that models read."""
UNREAD = -1
"""Target of a point that has no place in our order."""

POSE_NAMES = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
    *("left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index"),
    *("left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    *("left_heel", "right_heel", "left_foot_index", "right_foot_index"),
)
"""MediaPipe's names of the body points, in order."""
HAND_NAMES = (
    *("wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
    *(f"{finger}_{joint}" for finger in ("index", "middle", "ring", "pinky") for joint in ("mcp", "pip", "dip", "tip")),
)
"""Names of the hand points, in the order that MediaPipe, OpenPose and COCO-WholeBody share."""
TARGETS = {
    **{f"left_hand.{name}": LEFT + place for place, name in enumerate(HAND_NAMES)},
    **{f"right_hand.{name}": RIGHT + place for place, name in enumerate(HAND_NAMES)},
    **{f"pose.{name}": BODY + place for place, name in enumerate(POSE_NAMES)},
}
"""{name of one of our points: its index in `hearai.sign.skeleton`}."""


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of a clip in our order."""

    points: np.ndarray
    """(T, POINTS, 3) float32: x and y as shares of the image's width and height, z in the scale of x; NaN = unknown."""
    skeleton: str
    """Which skeleton was recognised in the file."""
    fps: float | None = None
    """Frames per second, if the file says so."""
    notes: tuple[str, ...] = ()
    """What was decided while reading."""
    face: np.ndarray | None = None
    """(T, F, 3) like `points`: F = 468 or 478, MediaPipe's mesh in its order; None = there is none."""

    @property
    def frames(self) -> int:
        return len(self.points)

    @property
    def known(self) -> float:
        """The share of known points, 0..1."""
        return float((~np.isnan(self.points[..., 0])).mean())

    def rows(self, first: int, last: int | None) -> "Landmarks":
        """The landmarks of the frames first..last; None = to the end."""
        part = slice(first, None if last is None else last + 1)
        return replace(self, points=self.points[part], face=None if self.face is None else self.face[part])

    def save(self, path: Path, **further: np.ndarray) -> None:
        """Writes a clip's landmark file: `left_hand`, `right_hand`, `pose`, `face` if known, and further arrays."""
        first, arrays = 0, dict[str, Any](further)
        if self.face is not None:
            arrays[FACE] = self.face
        for name, count in PARTS.items():
            arrays[name] = self.points[:, first : first + count]
            first += count
        with atomic_write(path) as partial, open(partial, "wb") as file:
            np.savez_compressed(file, **arrays)


def landmarks_of(points: np.ndarray, skeleton: str, fps: float | None = None, notes: tuple[str, ...] = ()) -> Landmarks:
    """The landmarks of points that `assemble` arranged; the face is one only if a point of it is known."""
    body, face = points[:, :POINTS], points[:, POINTS:]
    return Landmarks(body, skeleton, fps, notes, None if np.isnan(face[..., 0]).all() else face)


def as_float32(array: np.ndarray) -> np.ndarray:
    """The array as float32; numbers beyond its range become infinite, which `assemble` refuses."""
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float32)


def check_size(path: Path) -> None:
    """Raises a DataError for what is no regular file, or too large for landmarks of a clip."""
    if not path.is_file():
        raise DataError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}; expected landmarks")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise DataError(f"{path}: has {size / 1e9:,.1f} GB; expected at most {MAX_BYTES / 1e9:g} GB")


def assemble(path: Path, source: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """(T, P, 2 or 3) -> (T, POINTS, 3), float32, NaN where unknown; with a face mesh (T, POINTS + its points, 3).

    Args:
        source: NaN, or 0 in both x and y, where a point is unknown.
        targets: the index of each point in our order, or UNREAD.

    Raises:
        DataError: there are no frames, no known points, or infinite numbers.
    """
    used = [place for place, target in enumerate(targets) if target != UNREAD]
    source = as_float32(source[:, used])
    if not len(source):
        raise DataError(f"{path}: contains no frames; expected at least one")
    if np.isinf(source).any():
        raise DataError(f"{path}: contains an infinite number; expected coordinates, NaN where a point is unknown")
    last = max((targets[place] for place in used), default=UNREAD)
    mesh = 0 if last < FACE_MESH else SMALL_MESH if last < FACE_MESH + SMALL_MESH else LARGE_MESH
    points = np.full((len(source), POINTS + mesh, 3), np.nan, np.float32)
    points[:, [targets[place] for place in used], : source.shape[2]] = source
    points[np.isnan(points[..., :2]).any(-1) | (points[..., :2] == 0).all(-1)] = np.nan
    if np.isnan(points[:, :POINTS, 0]).all():
        raise DataError(f"{path}: no point of hands and body is known in any frame; leave the clip out")
    return points


def to_shares(points: np.ndarray, size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """(T, P, 3) in pixels or shares -> shares of the image size, and notes.

    Args:
        size: width and height, pixels; None = unknown: x and y are divided by the same number, which keeps proportions.
    """
    extent = float(np.nanmax(np.abs(points[..., :2])))
    if extent <= LARGEST_SHARE:
        return points, ()
    if size is None:
        note = f"pixels of an image of unknown size: divided by {extent:g}, the largest coordinate"
        return points / np.float32(extent), (note,)
    width, height = size
    return points / np.array([width, height, width], np.float32), ()
