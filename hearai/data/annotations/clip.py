"""A clip: one annotated stretch of a recording, and the names of its files."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hearai.data.annotations.frame_naming import OUR_NAMING, FrameNaming, frames_of

MAX_CLASSES = 100_000
"""Upper limit on the classes of an `auto` head: a typing error must not build a classifier of gigabytes."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One annotated stretch of a frame folder."""

    name: str
    folder: Path
    """The dataset folder that contains the clip's folder."""
    start: int
    end: int
    """Last frame, inclusive."""
    labels: Mapping[str, int]
    """{head: class, or MISSING}; shared by clips with the same labels."""
    signer: str | None = None
    fps: float | None = None
    """Frames per second of the recording, if the clip's properties file gives them."""
    dataset: str = ""
    """Name of the dataset among the loaded ones; empty = the folder's name."""
    naming: FrameNaming = OUR_NAMING
    """The file names of the frames; shared by clips with the same."""
    split: str | None = None
    """The split that splits.csv gives the clip: "train", "val" or "test"."""

    @property
    def key(self) -> str:
        """Unique among the loaded clips; unchanged when the dataset folder is moved."""
        return f"{self.dataset_name}/{self.name}"

    @property
    def dataset_name(self) -> str:
        """The name of the clip's dataset in messages."""
        return self.dataset or self.folder.name

    def frame_path(self, frame: int) -> Path:
        """The image of a frame."""
        return self.folder / self.name / self.frame_file(frame)

    def frame_file(self, frame: int) -> str:
        """The file name of a frame."""
        return self.naming.file(file_stem(self.name), frame)

    @property
    def properties_path(self) -> Path:
        """The file that may give the frames per second."""
        return self.folder / self.name / properties_file(self.name)

    @property
    def landmarks_path(self) -> Path:
        """The file of the landmarks."""
        return self.folder / self.name / landmarks_file(self.name)


def file_stem(name: str) -> str:
    """The prefix of a clip's file names: the last part of its name."""
    return name.rpartition("/")[2]


def frame_file(name: str, frame: int, naming: FrameNaming = OUR_NAMING) -> str:
    """File name of the image of a frame."""
    return naming.file(file_stem(name), frame)


def properties_file(name: str) -> str:
    """File name of the clip's properties."""
    return f"{file_stem(name)}_properties.json"


def landmarks_file(name: str) -> str:
    """File name of the landmarks."""
    return f"{file_stem(name)}.npz"


def find_frames(name: str, files: Iterable[str], pattern: str | None = None) -> Mapping[int, str]:
    """{frame number: file} of the frames of a clip among the files of its folder; pattern: None = our own names."""
    return frames_of(pattern, file_stem(name), files)


def normalise_name(name: str) -> str | None:
    """A clip's name without redundant `.` and `/`, so that a folder has only one; None if it is outside the dataset."""
    if "/" not in name and os.sep not in name and ":" not in name:
        return None if name in ("", ".", "..") else name
    parts = [part for part in name.replace(os.sep, "/").split("/") if part not in ("", ".")]
    leads_out = os.path.isabs(name) or os.path.splitdrive(name)[0] or ".." in parts
    return None if leads_out else "/".join(parts) or None
