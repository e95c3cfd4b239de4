"""An output folder that several processes fill: one command at a time, each part moved into place when complete."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from hearai.errors import DataError
from hearai.threads import LockHeld, file_lock

PARTIAL = ".partial"
"""Folder of incomplete parts, inside the output folder: one rename moves them into place."""


@contextmanager
def partial_folder(out_dir: Path) -> Iterator[Path]:
    """The folder for incomplete parts, without what an earlier, killed command left in it.

    Raises:
        DataError: the folder cannot be written (also if the block fails for that reason), or another command uses it.
    """
    partial = out_dir / PARTIAL
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with file_lock(out_dir / f"{PARTIAL}.lock", wait=False):
            try:
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                yield partial
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except LockHeld:
        raise DataError(f"{out_dir}: another command is writing to it; wait until it has finished") from None
    except OSError as error:
        raise DataError(
            f"{out_dir}: cannot write ({error.strerror or error}); expected a folder with free space"
        ) from None


@contextmanager
def replacing_folder(target: Path, partial: Path) -> Iterator[Path]:
    """A new folder to fill; it replaces `target` with a rename when the block succeeds."""
    new = partial / f"{os.getpid()}.new"
    try:
        new.mkdir()
        yield new
        move_into_place(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def move_into_place(new: Path, target: Path) -> None:
    """Replaces the folder `target`, if there is one, by the folder `new` of the same file system."""
    old = new.with_name(f"{new.name}.old")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if target.exists():
            os.replace(target, old)
        os.replace(new, target)
    finally:
        shutil.rmtree(old, ignore_errors=True)


def find_conflicts(names: Iterable[str], out_dir: Path, source: Path) -> list[str]:
    """Problems with writing folders of these names in `out_dir`, made from `source`.

    A folder must be inside `out_dir`, must not overlap the source, and must not contain the folder of another name.
    """
    root, source = out_dir.resolve(), source.resolve()
    paths = {PurePath(name) for name in names}
    problems = []
    for path in sorted(paths):
        target = (root / path).resolve()
        if root not in target.parents:
            problems.append(f"{out_dir / path}: outside {out_dir} (points to {target}); expected a folder inside it")
        elif target == source or source in target.parents or target in source.parents:
            problems.append(f"{out_dir / path}: overlaps the source {source}; choose another OUT_DIR")
        problems += [
            f"{out_dir / path}: would be inside the folder of {parent}; rename one of them"
            for parent in path.parents
            if parent in paths
        ]
    return problems
