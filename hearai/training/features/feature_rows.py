"""Files of cached features: rows with a checksum beside them, checked once by each process that reads them.

Rows of older code have no checksum: they are accepted if their shape is right and all numbers are finite, and get one.
"""

import errno
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from hearai.errors import DiskFull, load_failure
from hearai.files import atomic_write, atomic_write_text

log = logging.getLogger(__name__)

CHUNK = 4_000_000
"""Numbers that are examined at a time (16 MB)."""

_checked: set[tuple[str, int, int, int]] = set()
"""(path, inode, size, time of the last change) of the files that this process has checked."""


def are_valid(path: Path, shape: tuple[int, int], *, warn: bool = False) -> bool:
    """Whether a file holds the rows (F, W) that were written there; a missing one does not.

    warn: log why an existing file is not valid.
    """
    if not path.is_file():
        return False
    if _identity(path) in _checked:
        return True
    if problem := _problem(path, shape):
        if warn:
            log.warning("%s: %s; the features are computed again", path, problem)
        return False
    _checked.add(_identity(path))
    return True


def map_rows(path: Path) -> np.ndarray:
    """The rows (F, W) of a valid file: memory-mapped, shared by all processes, and never written.

    Raises:
        OSError, ValueError: the file holds something else; nothing in it is unpickled.
    """
    return np.load(path, mmap_mode="c", allow_pickle=False)  # "c": torch warns about read-only arrays


@contextmanager
def replacing_rows(path: Path, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Rows (F, W) to fill, which replace the file when the block ends without an exception; then their checksum.

    Raises:
        DiskFull: no space left; the previous file is intact.
    """
    with atomic_write(path) as temporary:
        rows_FW = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
        _reserve(temporary)
        yield rows_FW
        rows_FW.flush()
        checksum = _checksum(temporary)
        # A process killed from here on leaves rows without a checksum, not with a wrong one.
        _checksum_file(path).unlink(missing_ok=True)
    atomic_write_text(_checksum_file(path), f"{checksum}\n")
    _checked.add(_identity(path))


def _reserve(path: Path) -> None:
    """Takes the disk space of a file that has a size but no content: on a full disk a mapped write kills the process.

    Raises:
        OSError: no space left.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot
            raise


def _problem(path: Path, shape: tuple[int, int]) -> str | None:
    """Why a file is not used."""
    try:
        rows_FW = map_rows(path)
    except (OSError, ValueError, EOFError) as error:
        return f"not a feature file ({load_failure(error)})"
    if not isinstance(rows_FW, np.ndarray) or rows_FW.dtype != np.float32:
        return "not a feature file; expected an array of float32"
    if rows_FW.shape != shape:
        return f"has shape {rows_FW.shape}, expected {shape}"
    known = _stored_checksum(path)
    if known is None:
        numbers = rows_FW.reshape(-1)
        if not all(np.isfinite(numbers[i : i + CHUNK]).all() for i in range(0, len(numbers), CHUNK)):
            return "contains numbers that are not finite"
        with suppress(OSError, DiskFull):  # a read-only cache is used as it is
            atomic_write_text(_checksum_file(path), f"{_checksum(path)}\n")
        return None
    return None if _checksum(path) == known else "damaged (its checksum has changed)"


def _checksum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.blake2b")


def _stored_checksum(path: Path) -> str | None:
    try:
        return _checksum_file(path).read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _identity(path: Path) -> tuple[str, int, int, int]:
    status = path.stat()
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns
