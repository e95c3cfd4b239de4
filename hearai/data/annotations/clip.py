"""TODO."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hearai.data.annotations.text_files import is_whole

MAX_CLASSES = 100_000
"""Bound on labels of an `auto` head: a typing error must not build a classifier of gigabytes."""


HEADER = ["name", "start", "end"]
"""What an annotation file's header begins with, where it has one."""


Classes = int | Literal["auto"]
"""Number of classes of a head; "auto" where any label from 0 on is welcome."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One annotated stretch of a frame folder."""

    name: str
    folder: Path
    """The dataset folder that holds the clip's folder."""
    start: int
    end: int
    """Last frame, inclusive."""
    labels: Mapping[str, int]
    """{head: class, or MISSING}; clips with the same labels share it."""
    signer: str | None = None
    fps: float | None = None
    """Frames per second of the recording, where the clip's properties file says so."""
    dataset: str = ""
    """Name of the dataset among the loaded ones; empty = the folder's own name."""

    @property
    def key(self) -> str:
        """Unique among the loaded clips, and the same wherever the dataset folder is moved as a whole."""
        return f"{self.dataset_name}/{self.name}"

    @property
    def dataset_name(self) -> str:
        """What the clip's dataset is called in messages."""
        return self.dataset or self.folder.name

    def frame_path(self, frame: int) -> Path:
        """The picture of one frame."""
        return self.folder / self.name / frame_file(self.name, frame)

    @property
    def properties_path(self) -> Path:
        """Where the frames per second are looked up."""
        return self.folder / self.name / properties_file(self.name)

    @property
    def landmarks_path(self) -> Path:
        """Where the landmarks are looked up."""
        return self.folder / self.name / landmarks_file(self.name)


def stem_of(name: str) -> str:
    """What the files of a clip begin with: the last part of its name."""
    return name.rpartition("/")[2]


def frame_file(name: str, frame: int) -> str:
    """Name of the picture of a frame."""
    return f"{stem_of(name)}_{frame}.jpg"


def properties_file(name: str) -> str:
    """Name of the file that may hold the frames per second."""
    return f"{stem_of(name)}_properties.json"


def frames_on_disk(name: str, files: Iterable[str]) -> dict[int, str]:
    """{frame number: file} of the pictures of a clip among the files of its folder."""
    head, found = f"{stem_of(name)}_", {}
    for file in files:
        number = file.removeprefix(head).removesuffix(".jpg")
        if is_whole(number) and file == f"{head}{int(number)}.jpg" and int(number) >= 0:
            found[int(number)] = file
    return found


def landmarks_file(name: str) -> str:
    """Name of the file of landmarks."""
    return f"{stem_of(name)}.npz"


def tidy_name(name: str) -> str | None:
    """A clip's name without needless `.` and `/` (one folder, one name); None where it leads out of the dataset."""
    if "/" not in name and os.sep not in name and ":" not in name:
        return None if name in ("", ".", "..") else name
    parts = [part for part in name.replace(os.sep, "/").split("/") if part not in ("", ".")]
    leads_out = os.path.isabs(name) or os.path.splitdrive(name)[0] or ".." in parts
    return None if leads_out else "/".join(parts) or None
