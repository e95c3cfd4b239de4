"""Landmark files of other tools -> our landmarks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hearai.data.landmarks.arrays import read_array
from hearai.data.landmarks.described import DESCRIPTION, read_described
from hearai.data.landmarks.kaggle import read_kaggle
from hearai.data.landmarks.openpose import read_openpose
from hearai.data.landmarks.points import Landmarks
from hearai.data.landmarks.pose_file import read_pose_file
from hearai.errors import DataError

Reader = Callable[[Path, tuple[int, int] | None], Landmarks]

READERS: dict[str, Reader] = {
    ".pose": read_pose_file,
    ".parquet": read_kaggle,
    ".npy": read_array,
}
"""{ending of a file: its reader}; folders are OpenPose's."""


def is_foreign(path: Path) -> bool:
    """Whether the path looks like landmarks of another tool: by its ending, or a folder of JSON files."""
    if path.is_dir():
        return any(path.glob("*_keypoints.json"))
    return path.suffix.lower() in READERS


def read_foreign(path: Path, size: tuple[int, int] | None = None, *, face: bool = True) -> Landmarks:
    """The landmarks of a file or folder of another tool, in our order; `skeleton` says what was recognised.

    Args:
        path: a `.pose`, `.parquet` or `.npy` file, or OpenPose's folder of JSON files.
        size: width and height of the image, pixels; None = as the file says, or unknown.
        face: False = without the mesh of the face, where a file has it.

    Raises:
        DataError: it cannot be read, or is none of these.
    """
    landmarks = _reader(path)(path, size)
    return landmarks if face else replace(landmarks, face=None)


def _reader(path: Path) -> Reader:
    if path.is_dir():
        return read_openpose
    if path.suffix.lower() == ".npy" and (path.parent / DESCRIPTION).is_file():
        return read_described
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        kinds = ", ".join(READERS)
        raise DataError(
            f"{path}: not landmarks of a known kind; expected {kinds}, or a folder of OpenPose's JSON files"
        )
    return reader
