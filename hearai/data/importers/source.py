"""Where a public dataset lies: its metadata files, and its videos, found by name."""

import os
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

from hearai.data.annotations.split import PARTS
from hearai.data.videos import SUFFIXES
from hearai.errors import DataError

POSE = ".pose"
"""Ending of the landmark files that other tools publish beside, or in place of, the videos of a dataset."""


class Source:
    """A dataset as it was downloaded.

    Args:
        path: its folder, or its metadata file.
        videos: the folder of the videos, where they are elsewhere.
        columns: {meaning: column} of a table, for the kind `csv`.
        times: the unit of starts and ends, for the kind `csv`.
        landmarks: a `.pose` file of a clip's name is read in place of its video.

    Raises:
        DataError: one of the paths does not exist.
    """

    def __init__(
        self,
        path: Path,
        videos: Path | None = None,
        columns: Mapping[str, str] | None = None,
        times: Literal["frames", "seconds"] = "seconds",
        *,
        landmarks: bool = False,
    ):
        if not path.exists():
            raise DataError(f"{path}: does not exist; expected the folder of a dataset, or its metadata file")
        if videos is not None and not videos.is_dir():
            raise DataError(f"{videos}: not a directory; expected the folder of the videos")
        self.path, self.columns, self.times = path, columns or {}, times
        self.landmarks = landmarks
        self.folder = path if path.is_dir() else path.parent
        self.media = videos or self.folder

    def files(self, *patterns: str) -> list[Path]:
        """The metadata files: the given one, or those in the folder (or `splits/` in it) that match a pattern."""
        if self.path.is_file():
            return [self.path]
        places = (self.folder, self.folder / "splits")
        return sorted({path for pattern in patterns for place in places for path in place.glob(pattern)})

    def one_file(self, *patterns: str) -> Path:
        """The only metadata file.

        Raises:
            DataError: there is none, or several.
        """
        found = self.files(*patterns)
        if len(found) == 1:
            return found[0]
        shown = f"{len(found)} of them: {', '.join(path.name for path in found[:5])}" if found else "none"
        raise DataError(
            f"{self.folder}: expected one file {' or '.join(patterns)}, found {shown}; give the file itself as SOURCE, "
            "and --videos FOLDER where the videos are elsewhere"
        )

    def split_files(self, *patterns: str) -> dict[str, Path]:
        """{word for a split in the file's name: file} of datasets with one metadata file for each split.

        Raises:
            DataError: there are none, or several for one split.
        """
        found: dict[str, list[Path]] = {}
        for path in self.files(*patterns):
            split = next((word for word in PARTS if word in path.stem.lower()), None)
            if split:
                found.setdefault(split, []).append(path)
        problems = [
            f"{self.folder}: {', '.join(path.name for path in paths)} are all of the split {split}; expected one file "
            "for each split: move the others away"
            for split, paths in found.items()
            if len(paths) > 1
        ]
        if not found:
            problems = [f"{self.path}: expected files {' or '.join(patterns)} with train, val or test in their names"]
        if problems:
            raise DataError(problems)
        return {split: paths[0] for split, paths in found.items()}

    def find_pose(self, video: Path) -> Path | None:
        """The `.pose` file of a clip: beside its video, else the only one of this name."""
        found = self.poses.get(video.stem, [])
        return next((path for path in found if path.parent == video.parent), found[0] if len(found) == 1 else None)

    @cached_property
    def _videos(self) -> Mapping[str, list[Path]]:
        """{name without extension: videos of this name}, of the folder and its subfolders."""
        return self._index(SUFFIXES)

    @cached_property
    def poses(self) -> Mapping[str, list[Path]]:
        """{name without extension: `.pose` files of this name}."""
        return self._index((POSE,))

    def _index(self, suffixes: Collection[str]) -> Mapping[str, list[Path]]:
        index: dict[str, list[Path]] = {}
        for parent, folders, files in os.walk(self.media):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for file in sorted(files):
                stem, suffix = os.path.splitext(file)
                if suffix.lower() in suffixes and not file.startswith("."):
                    index.setdefault(stem, []).append(Path(parent, file))
        return index

    def find_video(self, name: str) -> tuple[Path, list[Path]]:
        """(the video, all candidates if there are several) of a relative path or a name without extension.

        A video that is missing is returned as the path where it is expected.
        """
        exact = self.media / name
        if exact.is_file():
            return exact, []
        wanted = PurePosixPath(name)
        stem = wanted.stem if wanted.suffix.lower() in SUFFIXES else wanted.name
        found = self._videos.get(stem, [])
        if len(found) > 1:
            tail = (*wanted.parts[:-1], stem)
            found = [path for path in found if path.with_suffix("").parts[-len(tail) :] == tail]
        if len(found) == 1:
            return found[0], []
        return (exact if wanted.suffix.lower() in SUFFIXES else exact.with_name(f"{exact.name}.mp4")), found
