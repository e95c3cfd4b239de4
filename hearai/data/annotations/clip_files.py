"""The files of a clip's folder: what they are called, whether they are there, whether they stay in the dataset."""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hearai.data.annotations.clip import frame_file, frames_on_disk, landmarks_file, properties_file

LEADS_OUT = "paths that lead out of the dataset folder"

Note = Callable[[str, str, str], None]
"""note(kind, what was found, what is allowed)."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """What lies in a clip's folder."""

    name: str
    shown: str
    """The folder as the user wrote it, for messages."""
    real: str
    """The folder behind all symlinks, for reading."""
    files: Mapping[str, bool]
    """{name: is it a plain file, and no symlink, folder or device}."""


class ClipFiles:
    """Checks clip folders of one dataset folder; each is listed once.

    Args:
        frames: the pictures of start..end are due.
        landmarks: the landmarks file is due.
    """

    def __init__(self, folder: Path, *, frames: bool, landmarks: bool):
        self.folder, self.frames, self.landmarks = folder, frames, landmarks
        self.root = os.path.realpath(folder)
        self._parents: dict[str, tuple[str, dict[str, bool]]] = {}
        """{parent of clip folders: (real path, {what it holds: is it a folder, and no symlink to one})}"""

    def check(self, name: str, start: int, end: int, note: Note) -> float | None:
        """Notes what is wrong; the clip's frames per second, where a properties file gives them.

        Files that no run reads are passed over. Without frames and landmarks nothing is looked at.
        """
        if not (self.frames or self.landmarks):
            return None
        shown, real = f"{self.folder}/{name}", self._real_folder(name)
        if real is None:
            note("clip folders that are missing", f"folder {shown} is missing", "a folder of frames is due")
            return None
        if not self._is_inside(real):
            note(LEADS_OUT, f"{shown} is a symlink to {real}, out of the dataset folder", "a folder inside it is due")
            return None
        try:
            files = _listed(real, os.DirEntry.is_file)
        except OSError as error:
            found = f"folder {shown} cannot be read ({error.strerror})"
            note("clip folders that cannot be read", found, "a folder of frames is due")
            return None
        listing = _Listing(name, shown, real, files)
        self._check_absent(listing, start, end, note)
        if not all(files.values()):
            self._check_odd(listing, start, end, note)
        return self._fps(listing, note)

    def _real_folder(self, name: str) -> str | None:
        """The folder behind all symlinks; None where there is none. Asks the disk once for all clips of a parent."""
        parent, _, last = name.rpartition("/")
        if parent not in self._parents:
            path = os.path.realpath(f"{self.root}/{parent}")
            self._parents[parent] = path, _listed(path, os.DirEntry.is_dir) if os.path.isdir(path) else {}
        path, folders = self._parents[parent]
        if last not in folders:
            return None
        return f"{path}/{last}" if folders[last] else os.path.realpath(f"{path}/{last}")

    def _is_inside(self, real: str) -> bool:
        return real.startswith(self.root + "/") or os.path.commonpath([real, self.root]) == self.root

    def _check_absent(self, listing: _Listing, start: int, end: int, note: Note) -> None:
        name, files = listing.name, listing.files
        if self.frames:
            due = (frame_file(name, frame) for frame in range(start, end + 1))
            absent = next((file for file in due if file not in files), None)
            if absent is not None:
                more = end - start - len(_frames_of(name, start, end, files))
                found = f"{listing.shown}/{absent} is missing" + (f" (and {more} more)" if more else "")
                note("frames that are missing", found, f"every frame of {start}..{end} is due")
        if self.landmarks and landmarks_file(name) not in files:
            found = f"{listing.shown}/{landmarks_file(name)} is missing"
            note("landmarks that are missing", found, "train_parameters.landmarks needs the landmarks of every clip")

    def _check_odd(self, listing: _Listing, start: int, end: int, note: Note) -> None:
        """Symlinks, folders and devices in the place of a file that is read."""
        odd = [file for file, is_plain in listing.files.items() if not is_plain]
        read = set(_frames_of(listing.name, start, end, odd)) if self.frames else set()
        read |= {properties_file(listing.name), *([landmarks_file(listing.name)] if self.landmarks else [])}
        for file in sorted(read.intersection(odd)):
            path, target = f"{listing.shown}/{file}", os.path.realpath(f"{listing.real}/{file}")
            if not self._is_inside(target):
                note(LEADS_OUT, f"{path} is a symlink to {target}, out of the dataset folder", "a file is due")
            elif not os.path.exists(target):
                note("symlinks to nothing", f"{path} is a symlink to {target}, which is missing", "a file is due")
            elif not os.path.isfile(target):
                note("files that are none", f"{path} is no file", "a file is due")

    def _fps(self, listing: _Listing, note: Note) -> float | None:
        file = properties_file(listing.name)
        path = f"{listing.real}/{file}"
        if file not in listing.files:
            return None
        if not listing.files[file] and not (os.path.isfile(path) and self._is_inside(os.path.realpath(path))):
            return None  # noted before
        fps = read_fps(path)
        if fps is None and no_fps_reason(path) is None:
            note("properties that are wrong", f"{listing.shown}/{file} is wrong", '{"FPS": frames per second} is due')
        return fps


def _listed(path: str, is_kind: Callable[..., bool]) -> dict[str, bool]:
    """{what a folder holds: is it of the kind, and no symlink}."""
    with os.scandir(path) as entries:
        return {entry.name: is_kind(entry, follow_symlinks=False) for entry in entries}


def _frames_of(name: str, start: int, end: int, files: Iterable[str]) -> list[str]:
    """The files that are frames of start..end."""
    return [file for number, file in frames_on_disk(name, files).items() if start <= number <= end]


def no_fps_reason(properties: str | Path) -> str | None:
    """Why a clip has no frames per second, where its properties file says so: `{"no_FPS": reason}`."""
    try:
        content = json.loads(Path(properties).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content.get("no_FPS") if isinstance(content, dict) and "FPS" not in content else None


def read_fps(path: str | Path) -> float | None:
    """Frames per second of a properties file; None where it is wrong."""
    try:
        with open(path, "rb") as file:
            fps = float(json.loads(file.read())["FPS"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return fps if 0 < fps < math.inf else None
