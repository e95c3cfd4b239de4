"""A folder of landmark files of other tools -> landmark files of ours."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hearai.data.annotations.clip import properties_file
from hearai.data.annotations.problems import raise_problems
from hearai.data.landmarks.foreign import is_foreign, read_foreign
from hearai.data.tools.output_folder import find_conflicts
from hearai.data.tools.process_pool import Progress, for_each, no_progress
from hearai.errors import DataError
from hearai.files import atomic_write_text

Item = tuple[str, Path]
"""(name of the clip, foreign file or folder)."""


@dataclass
class ConversionResult:
    """The outcome for all files."""

    files: int
    frames: int = 0
    skeletons: Counter[str] = field(default_factory=Counter)
    """{skeleton that was recognised: number of files}."""
    notes: Counter[str] = field(default_factory=Counter)
    """{what was decided while reading: number of files}."""
    problems: list[str] = field(default_factory=list)


def convert_landmarks(
    source: Path,
    out_dir: Path,
    *,
    size: tuple[int, int] | None = None,
    face: bool = False,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> ConversionResult:
    """Writes OUT_DIR/NAME/NAME.npz for every landmark file of another tool in SOURCE and its subfolders.

    Args:
        size: width and height of the images, pixels; None = as the files say, or unknown.
        face: also the face mesh of MediaPipe, where a file has it.
        workers: processes; None = one per core, 1 = this process.

    Raises:
        DataError: SOURCE contains no such files, several have the same name, or OUT_DIR is unsuitable.
    """
    items = _find(source, out_dir)
    result = ConversionResult(len(items))
    with closing(for_each(partial(_convert, out_dir=out_dir, size=size, face=face), items, workers=workers)) as done:
        for _, read in progress(done, len(items)):
            if isinstance(read, DataError):
                result.problems += read.problems
                continue
            frames, skeleton, notes = read
            result.frames += frames
            result.skeletons[skeleton] += 1
            # Numbers in notes differ from file to file.
            result.notes.update(note.partition(":")[0] for note in notes)
    result.problems.sort()
    return result


def _find(source: Path, out_dir: Path) -> list[Item]:
    if not source.is_dir():
        raise DataError(f"{source}: not a directory; expected a folder of landmark files")
    paths: dict[str, list[Path]] = {}
    for path in _foreign_paths(source):
        name = source.resolve().name if path == source else path.relative_to(source).with_suffix("").as_posix()
        paths.setdefault(name, []).append(path)
    if not paths:
        raise DataError(f"{source}: contains no landmark files; expected .pose, .parquet, .npy, or OpenPose's folders")
    twice = [
        f"{' and '.join(map(str, same))}: have the same name; expected one file per name"
        for same in paths.values()
        if len(same) > 1
    ]
    raise_problems(twice + find_conflicts(paths, out_dir, source))
    return sorted((name, path) for name, (path,) in paths.items())


def _foreign_paths(source: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(name.endswith("_keypoints.json") for name in files):
            yield Path(parent)
        yield from (path for name in sorted(files) if is_foreign(path := Path(parent, name)) and name[0] != ".")


def _convert(
    item: Item, *, out_dir: Path, size: tuple[int, int] | None, face: bool
) -> tuple[int, str, tuple[str, ...]]:
    name, path = item
    landmarks = read_foreign(path, size, face=face)
    target = out_dir / name
    target.mkdir(parents=True, exist_ok=True)
    if landmarks.fps:
        atomic_write_text(target / properties_file(target.name), json.dumps({"FPS": landmarks.fps}) + "\n")
    landmarks.save(target / f"{target.name}.npz")
    return landmarks.frames, landmarks.skeleton, landmarks.notes
