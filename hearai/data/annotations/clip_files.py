"""Checks the files of a clip's folder: whether they exist, and whether they are inside the dataset."""

import json
import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hearai.data.annotations.clip import find_frames, frame_file, landmarks_file, properties_file
from hearai.data.annotations.problems import LineProblems
from hearai.data.annotations.text_files import quoted

OUTSIDE = "paths outside the dataset folder"
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class _Listing:
    """The content of a clip's folder."""

    name: str
    shown: str
    """The folder as the user gave it, for messages."""
    real: str
    """The folder behind all symlinks, for reading."""
    files: Mapping[str, bool]
    """{name: whether it is a regular file, not a symlink, folder or device}."""


class ClipFiles:
    """Checks the clip folders of a dataset folder; each is listed once.

    Args:
        frames: the images of start..end must exist.
        landmarks: the landmarks file must exist.
    """

    def __init__(self, folder: Path, *, frames: bool, landmarks: bool):
        self.folder, self.frames, self.landmarks = folder, frames, landmarks
        self.root = os.path.realpath(folder)
        self._parents: dict[str, tuple[str, dict[str, bool]]] = {}
        """{parent of clip folders: (real path, {entry: whether it is a folder and not a symlink to one})}"""

    def check(self, name: str, start: int, end: int, problems: LineProblems) -> float | None:
        """Reports what is wrong; returns the clip's frames per second, if a properties file gives them.

        Files that no run reads are ignored. Without frames and landmarks nothing is checked.
        """
        if not (self.frames or self.landmarks):
            return None
        shown, real = f"{self.folder}/{name}", self._real_folder(name)
        if real is None:
            found, expected = f"folder {shown} is missing", "expected a folder of frames"
            if other := self._other_unicode_form(name):
                found += f", but there is {other!r} with the same letters in another Unicode form, as macOS writes them"
                expected = "expected equal names; rename the folders: convmv -r -f utf8 -t utf8 --nfc --notest FOLDER"
            problems.add("missing clip folders", found, expected)
            return None
        if not self._is_inside(real):
            found = f"{shown} is a symlink to {real}, outside the dataset folder"
            problems.add(OUTSIDE, found, "expected a folder inside it")
            return None
        try:
            files = _list_folder(real, os.DirEntry.is_file)
        except OSError as error:
            found = f"cannot read folder {shown} ({error.strerror})"
            problems.add("unreadable clip folders", found, "expected a folder of frames")
            return None
        listing = _Listing(name, shown, real, files)
        self._check_missing(listing, start, end, problems)
        if not all(files.values()):
            self._check_irregular(listing, start, end, problems)
        return self._fps(listing, problems)

    def _real_folder(self, name: str) -> str | None:
        """The folder behind all symlinks; None if there is none. Lists each parent once for all its clips."""
        parent, _, last = name.rpartition("/")
        if parent not in self._parents:
            path = os.path.realpath(f"{self.root}/{parent}")
            self._parents[parent] = path, _list_folder(path, os.DirEntry.is_dir) if os.path.isdir(path) else {}
        path, folders = self._parents[parent]
        if last not in folders:
            return None
        return f"{path}/{last}" if folders[last] else os.path.realpath(f"{path}/{last}")

    def _other_unicode_form(self, name: str) -> str | None:
        """A folder whose name differs from the clip's only in its Unicode form, such as `e` and an accent for `é`."""
        if name.isascii():
            return None
        parent, _, last = name.rpartition("/")
        composed = unicodedata.normalize("NFC", last)
        entries = self._parents[parent][1]
        return next((entry for entry in entries if unicodedata.normalize("NFC", entry) == composed), None)

    def _is_inside(self, real: str) -> bool:
        return real.startswith(self.root + "/") or os.path.commonpath([real, self.root]) == self.root

    def _check_missing(self, listing: _Listing, start: int, end: int, problems: LineProblems) -> None:
        name, files = listing.name, listing.files
        if self.frames:
            expected = (frame_file(name, frame) for frame in range(start, end + 1))
            missing = next((file for file in expected if file not in files), None)
            if missing is not None:
                more = end - start - len(_frames_between(name, start, end, files))
                found = f"{listing.shown}/{missing} is missing" + (f" (and {more} more)" if more else "")
                wanted = f"expected every frame of {start}..{end}"
                if not find_frames(name, files) and (images := _images(files)):
                    found += f"; its {len(images)} images have other names, such as {quoted(images[0])}"
                    wanted = f"expected JPEG files named {frame_file(name, 0)}, {frame_file(name, 1)}, ..."
                problems.add("missing frames", found, wanted)
        if self.landmarks and landmarks_file(name) not in files:
            found = f"{listing.shown}/{landmarks_file(name)} is missing"
            problems.add("missing landmarks", found, "train_parameters.landmarks needs the landmarks of every clip")

    def _check_irregular(self, listing: _Listing, start: int, end: int, problems: LineProblems) -> None:
        """Checks symlinks, folders and devices that have the name of a file that is read."""
        irregular = [file for file, is_regular in listing.files.items() if not is_regular]
        used = set(_frames_between(listing.name, start, end, irregular)) if self.frames else set()
        used |= {properties_file(listing.name), *([landmarks_file(listing.name)] if self.landmarks else [])}
        for file in sorted(used.intersection(irregular)):
            path, target = f"{listing.shown}/{file}", os.path.realpath(f"{listing.real}/{file}")
            if not self._is_inside(target):
                found = f"{path} is a symlink to {target}, outside the dataset folder"
                problems.add(OUTSIDE, found, "expected a file inside it")
            elif not os.path.exists(target):
                found = f"{path} is a symlink to {target}, which is missing"
                problems.add("broken symlinks", found, "expected a file")
            elif not os.path.isfile(target):
                problems.add("not a regular file", f"{path} is not a regular file", "expected a file")

    def _fps(self, listing: _Listing, problems: LineProblems) -> float | None:
        file = properties_file(listing.name)
        path = f"{listing.real}/{file}"
        if file not in listing.files:
            return None
        if not listing.files[file] and not (os.path.isfile(path) and self._is_inside(os.path.realpath(path))):
            return None  # reported by _check_irregular
        fps = read_fps(path)
        if fps is None and read_no_fps_reason(path) is None:
            found = f"{listing.shown}/{file} is invalid"
            problems.add("invalid properties", found, 'expected {"FPS": frames per second}')
        return fps


def _list_folder(path: str, is_kind: Callable[..., bool]) -> dict[str, bool]:
    """{entry: whether it is of the kind, and not a symlink}."""
    with os.scandir(path) as entries:
        return {entry.name: is_kind(entry, follow_symlinks=False) for entry in entries}


def _images(files: Iterable[str]) -> list[str]:
    """The files with the ending of an image, sorted."""
    return sorted(file for file in files if file.lower().endswith(IMAGE_ENDINGS))


def _frames_between(name: str, start: int, end: int, files: Iterable[str]) -> list[str]:
    """The files that are frames of start..end."""
    return [file for number, file in find_frames(name, files).items() if start <= number <= end]


def read_no_fps_reason(properties: str | Path) -> str | None:
    """Why a clip has no frames per second, if its properties file says so: `{"no_FPS": reason}`."""
    try:
        content = json.loads(Path(properties).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content.get("no_FPS") if isinstance(content, dict) and "FPS" not in content else None


def read_fps(path: str | Path) -> float | None:
    """The frames per second in a properties file; None if it is invalid."""
    try:
        with open(path, "rb") as file:
            fps = float(json.loads(file.read())["FPS"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return fps if 0 < fps < math.inf else None
