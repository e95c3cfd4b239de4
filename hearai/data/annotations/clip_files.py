"""Checks the files of a clip's folder: whether they exist, and whether they are inside the dataset."""

import errno
import json
import math
import os
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hearai.config.field_types import IMAGE_ENDINGS
from hearai.data.annotations.clip import file_stem, find_frames, frame_file, landmarks_file, properties_file
from hearai.data.annotations.frame_naming import OUR_NAMING, FrameNaming, find_naming, setting_of, suggest_pattern
from hearai.data.annotations.problems import LineProblems
from hearai.data.annotations.text_files import quoted
from hearai.data.media.array_header import read_array_header
from hearai.sign.skeleton import FACE, PARTS

OUTSIDE = "paths outside the dataset folder"
FOLLOW = "set general_parameters.follow_symlinks: true (commands without a config: --follow-symlinks)"


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
    naming: FrameNaming = OUR_NAMING


class ClipFiles:
    """Checks the clip folders of a dataset folder; each is listed once.

    Args:
        frames: the images of start..end must exist.
        landmarks: the landmarks file must exist.
        frame_pattern: the file names of the frames; None = our own.
        follow_symlinks: clip folders and files may be symlinks to places outside the dataset folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        frames: bool,
        landmarks: bool,
        frame_pattern: str | None = None,
        follow_symlinks: bool = False,
    ):
        self.folder, self.frames, self.landmarks = folder, frames, landmarks
        self.frame_pattern, self.follow_symlinks = frame_pattern, follow_symlinks
        self._namings: dict[FrameNaming, FrameNaming] = {}
        """Shared by the clips: most datasets have one."""
        self.root = os.path.realpath(folder)
        self._parents: dict[str, tuple[str, dict[str, bool]]] = {}
        """{parent of clip folders: (real path, {entry: whether it is a folder and not a symlink to one})}"""

    def check(self, name: str, start: int, end: int, problems: LineProblems) -> tuple[float | None, FrameNaming]:
        """Reports what is wrong.

        Files that no run reads are ignored. Without frames and landmarks nothing is checked.

        Returns:
            The clip's frames per second, if a properties file gives them, and how its frames are named.
        """
        listing = self._list(name, problems) if self.frames or self.landmarks else None
        if listing is None:
            return None, OUR_NAMING
        if self.frames and self.frame_pattern:
            naming = self._find_naming(self.frame_pattern, listing, start, end, problems)
            if naming is None:
                return None, OUR_NAMING
            listing = replace(listing, naming=naming)
        self._check_missing(listing, start, end, problems)
        if not all(listing.files.values()):
            self._check_irregular(listing, start, end, problems)
        return self._fps(listing, problems), listing.naming

    def last_frame(self, name: str, start: int) -> int | None:
        """The last frame of a clip, by its images, else by its landmarks; None if it has none from `start` on.

        What is wrong with the folder is reported by `check`.
        """
        real = self._real_folder(name)
        if real is None or not (self.follow_symlinks or self._is_inside(real)) or not os.path.isdir(real):
            return None
        if self.frames:
            return max((n for n in find_frames(name, os.listdir(real), self.frame_pattern) if n >= start), default=None)
        rows = _count_rows(f"{real}/{landmarks_file(name)}") if self.landmarks else 0
        return rows - 1 if rows > start else None

    def _list(self, name: str, problems: LineProblems) -> _Listing | None:
        """The content of a clip's folder; None if it cannot be used, which is reported."""
        shown, real = f"{self.folder}/{name}", self._real_folder(name)
        if real is None:
            found, expected = f"folder {shown} is missing", "expected a folder of frames"
            if other := self._other_unicode_form(name):
                found += f", but there is {other!r} with the same letters in another Unicode form, as macOS writes them"
                expected = "expected equal names; rename the folders: convmv -r -f utf8 -t utf8 --nfc --notest FOLDER"
            problems.add("missing clip folders", found, expected)
            return None
        if problem := self._problem_of_link(shown, real):
            problems.add(*problem)
            return None
        try:
            return _Listing(name, shown, real, _list_folder(real, os.DirEntry.is_file))
        except OSError as error:
            found = f"cannot read folder {shown} ({error.strerror})"
            problems.add("unreadable clip folders", found, "expected a folder of frames")
            return None

    def _problem_of_link(self, shown: str, target: str) -> tuple[str, str, str] | None:
        """(kind, what was found, what is expected) of a path whose target may not be read or does not exist."""
        if not self.follow_symlinks and not self._is_inside(target):
            what = "folder" if os.path.isdir(target) else "file"
            found = f"{shown} is a symlink to {target}, outside the dataset folder"
            return OUTSIDE, found, f"expected a {what} inside it; to read it, {FOLLOW}"
        if os.path.exists(target):
            return None
        try:
            os.stat(shown)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return "broken symlinks", f"{shown} is a symlink that leads back to itself", "expected a folder or file"
        return "broken symlinks", f"{shown} is a symlink to {target}, which is missing", "expected a folder or file"

    def _find_naming(
        self, pattern: str, listing: _Listing, start: int, end: int, problems: LineProblems
    ) -> FrameNaming | None:
        naming, unlike = find_naming(pattern, file_stem(listing.name), listing.files, start, end)
        if unlike:
            found = f"{listing.shown}: frames are numbered in two ways, such as {' and '.join(map(quoted, unlike))}"
            problems.add("mixed frames", found, "expected the frames of one recording, numbered alike")
            return None
        return self._namings.setdefault(naming, naming)

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
            expected = (frame_file(name, frame, listing.naming) for frame in range(start, end + 1))
            missing = next((file for file in expected if file not in files), None)
            if missing is not None:
                more = end - start - len(self._frames_between(listing, start, end, files))
                found = f"{listing.shown}/{missing} is missing" + (f" (and {more} more)" if more > 0 else "")
                problems.add("missing frames", *self._explain_missing(listing, found, f"{start}..{end}"))
        if self.landmarks and landmarks_file(name) not in files:
            found = f"{listing.shown}/{landmarks_file(name)} is missing"
            problems.add("missing landmarks", found, "train_parameters.landmarks needs the landmarks of every clip")

    def _explain_missing(self, listing: _Listing, found: str, frames: str) -> tuple[str, str]:
        """(what was found, what is expected) where frames are missing."""
        numbers = find_frames(listing.name, listing.files, self.frame_pattern)
        images = [] if numbers else _images(listing.files)
        pattern = suggest_pattern(file_stem(listing.name), images)
        if numbers and self.frame_pattern:
            found += f"; the files that fit {quoted(self.frame_pattern)} are frames {min(numbers)}..{max(numbers)}"
        if not images:
            return found, f"expected every frame of {frames}"
        found += f"; its {len(images)} images have other names, such as {quoted(images[0])}"
        ours = f"{frame_file(listing.name, 0)}, {frame_file(listing.name, 1)}, ..."
        wanted = (
            f"files that fit frame_pattern {self.frame_pattern}" if self.frame_pattern else f"JPEG files named {ours}"
        )
        return found, f"expected {wanted}" + (f", or {setting_of(pattern)}" if pattern else "")

    def _check_irregular(self, listing: _Listing, start: int, end: int, problems: LineProblems) -> None:
        """Checks symlinks, folders and devices that have the name of a file that is read."""
        irregular = [file for file, is_regular in listing.files.items() if not is_regular]
        used = set(self._frames_between(listing, start, end, irregular)) if self.frames else set()
        used |= {properties_file(listing.name), *([landmarks_file(listing.name)] if self.landmarks else [])}
        for file in sorted(used.intersection(irregular)):
            path, target = f"{listing.shown}/{file}", os.path.realpath(f"{listing.real}/{file}")
            if problem := self._problem_of_link(path, target):
                problems.add(*problem)
            elif not os.path.isfile(target):
                problems.add("not a regular file", f"{path} is not a regular file", "expected a file")

    def _frames_between(self, listing: _Listing, start: int, end: int, files: Iterable[str]) -> list[str]:
        """The files that are frames of start..end."""
        found = find_frames(listing.name, files, self.frame_pattern)
        return [file for number, file in found.items() if start <= number <= end]

    def _fps(self, listing: _Listing, problems: LineProblems) -> float | None:
        file = properties_file(listing.name)
        path = f"{listing.real}/{file}"
        if file not in listing.files:
            return None
        is_readable = os.path.isfile(path) and (self.follow_symlinks or self._is_inside(os.path.realpath(path)))
        if not listing.files[file] and not is_readable:
            return None  # reported by _check_irregular
        fps = read_fps(path)
        if fps is None and read_no_fps_reason(path) is None:
            found = f"{listing.shown}/{file} is invalid"
            problems.add("invalid properties", found, 'expected {"FPS": frames per second}')
        return fps


def _count_rows(archive: str) -> int:
    """Rows of the shortest array of a landmark file, by the headers; 0 if it is broken, which its reader reports."""
    rows = []
    try:
        with zipfile.ZipFile(archive) as file:
            for entry in {f"{name}.npy" for name in (*PARTS, FACE)}.intersection(file.namelist()):
                with file.open(entry) as stream:
                    rows.append(read_array_header(stream)[0][0])
    except (
        OSError,
        ValueError,
        TypeError,
        IndexError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
    ):
        return 0
    return min(rows, default=0)


def _list_folder(path: str, is_kind: Callable[..., bool]) -> dict[str, bool]:
    """{entry: whether it is of the kind, and not a symlink}."""
    with os.scandir(path) as entries:
        return {entry.name: is_kind(entry, follow_symlinks=False) for entry in entries}


def _images(files: Iterable[str]) -> list[str]:
    """The files with the ending of an image, sorted."""
    return sorted(file for file in files if file.lower().endswith(IMAGE_ENDINGS))


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
