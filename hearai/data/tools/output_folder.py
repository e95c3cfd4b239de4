"""A folder of results that many processes fill: one command at a time, each part placed in one move."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from filelock import FileLock, Timeout

from hearai.errors import DataError

PARTIAL = ".partial"
"""Where parts lie until they are whole, inside the folder of results: so one move places them."""


@contextmanager
def workshop(out_dir: Path) -> Iterator[Path]:
    """The folder for unfinished parts; what an earlier, killed command left in it is gone.

    Raises:
        DataError: the folder cannot be written (also when the block fails so), or another command fills it.
    """
    partial = out_dir / PARTIAL
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(out_dir / f"{PARTIAL}.lock", timeout=0):
            try:
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                yield partial
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except Timeout:
        raise DataError(f"{out_dir}: another command is writing there; one at a time is allowed") from None
    except OSError as error:
        raise DataError(
            f"{out_dir}: cannot be written ({error.strerror or error}); a folder with room is due"
        ) from None


@contextmanager
def placing(target: Path, partial: Path) -> Iterator[Path]:
    """A new folder to fill; it takes the place of `target` in one move when the block ends well."""
    new, old = (partial / f"{os.getpid()}.{part}" for part in ("new", "old"))
    try:
        new.mkdir()
        yield new
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            os.replace(target, old)
        os.replace(new, target)
    finally:
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)


def misplaced(names: Iterable[str], out_dir: Path, source: Path) -> list[str]:
    """What would go wrong with folders of these names in `out_dir`, made from `source`: as problems, one each.

    A folder must not leave `out_dir`, touch the source, or hold another one's folder.
    """
    root, source = out_dir.resolve(), source.resolve()
    given = {PurePath(name) for name in names}
    problems = []
    for name in sorted(given):
        target = (root / name).resolve()
        if root not in target.parents:
            problems.append(f"{out_dir / name}: leads out of {out_dir} (to {target}); a folder inside it is due")
        elif target == source or source in target.parents or target in source.parents:
            problems.append(f"{out_dir / name}: overlaps with {source}, which is only read; another OUT_DIR is due")
        problems += [
            f"{out_dir / name}: would lie inside the folder of {parent}; another name for one of them is due"
            for parent in name.parents
            if parent in given
        ]
    return problems
