"""Finds the videos of a folder, by their extension or content, and the names of the clips made from them."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hearai.data.annotations.problems import raise_problems
from hearai.data.tools.output_folder import find_conflicts
from hearai.data.videos import SUFFIXES, contains_video
from hearai.errors import DataError

SHOWN_ENDINGS = 8
"""Extensions of left-out files that are named; the other files are only counted."""


@dataclass(frozen=True)
class FolderOfVideos:
    """The files of a folder and its subfolders."""

    videos: tuple[tuple[str, Path], ...]
    """(name of the clip, file), sorted."""
    left_out: Mapping[str, int]
    """{extension, `hidden` or `no extension`: number of files that are no videos}."""

    @property
    def left_out_text(self) -> str:
        """`2 .txt, 1 hidden`; empty if every file is a video."""
        return _counts(self.left_out)


def find_videos(video_dir: Path, out_dir: Path) -> FolderOfVideos:
    """The videos in a folder and its subfolders; a clip can be made from each of them in OUT_DIR.

    A file is a video by its extension; one with another extension is, if its content is that of a video.

    Raises:
        DataError: there are none, some would give the same clip, or OUT_DIR is unsuitable.
    """
    if not video_dir.is_dir():
        raise DataError(f"{video_dir}: not a directory; expected a folder of videos")
    if video_dir.resolve() in (out_dir.resolve(), *out_dir.resolve().parents):
        raise DataError(f"{out_dir}: inside the folder of the videos; choose another OUT_DIR")
    paths: dict[str, list[Path]] = {}
    left_out: Counter[str] = Counter()
    for path in _files(video_dir):
        if path.name.startswith("."):
            left_out["hidden"] += 1
        elif path.suffix.lower() in SUFFIXES or contains_video(path):
            paths.setdefault(path.relative_to(video_dir).with_suffix("").as_posix(), []).append(path)
        else:
            left_out[path.suffix.lower() or "no extension"] += 1
    if not paths:
        found = ", ".join(sorted(left_out)[:5])
        raise DataError(
            f"{video_dir}: contains no videos ({f'found {found}' if found else 'it is empty'}); "
            f"expected files ending in {', '.join(SUFFIXES)}"
        )
    duplicates = [
        f"{' and '.join(map(str, sorted(same)))}: have the same name {name}; expected one video per name: rename "
        "or move the others"
        for name, same in paths.items()
        if len(same) > 1
    ]
    raise_problems(sorted(duplicates) + find_conflicts(paths, out_dir, video_dir))
    return FolderOfVideos(tuple(sorted((name, path) for name, (path,) in paths.items())), left_out)


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder and its subfolders, without the contents of hidden folders."""
    for parent, folders, files in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, file) for file in files)


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot read ({error.strerror}); expected a folder of videos")


def _counts(left_out: Mapping[str, int]) -> str:
    ordered = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count} {ending}" for ending, count in ordered[:SHOWN_ENDINGS]]
    others = sum(count for _, count in ordered[SHOWN_ENDINGS:])
    return ", ".join([*shown, f"{others} others"] if others else shown)
