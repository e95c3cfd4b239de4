"""The cache folder, and atomic writes with readable errors for full or broken disks."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hearai.errors import DiskFull

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk or an exhausted quota."""
UNWRITABLE = (*NO_SPACE, errno.EROFS, errno.EIO, errno.ESTALE)
"""Error numbers of any disk that cannot be written: full, read-only, broken, or a network file system that is gone."""


def cache_folder() -> Path:
    """The folder of everything that can be recomputed: $HEARAI_CACHE, else ~/.cache/hearai."""
    return Path(os.environ.get("HEARAI_CACHE") or Path.home() / ".cache" / "hearai")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary file in the same folder, which replaces `path` when the block ends without an exception.

    Readers never see a partial file, and a power failure leaves either the old or the new one.

    Raises:
        DiskFull: the disk cannot be written; `path` is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise disk_full(path, error.errno) from error
    finally:
        with suppress(OSError):  # a disk that has become read-only keeps the temporary file
            temporary.unlink(missing_ok=True)


def atomic_write_text(path: Path, text: str) -> None:
    """Replaces the content of a text file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def disk_full(path: str | Path, number: int | None = errno.ENOSPC) -> DiskFull:
    """The error to raise for a path. number: the error number of the OSError."""
    if number not in NO_SPACE:
        return DiskFull(
            f"{path}: cannot be written ({os.strerror(number or 0)}); its previous content is intact: make the disk "
            "writable, and run the same command again"
        )
    folder = next(parent for parent in (Path(path).absolute(), *Path(path).absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    return DiskFull(
        f"{path}: cannot be written, its disk is full ({free / 1e6:.1f} MB free in {folder}); its previous content is "
        "intact: free some space, and run the same command again"
    )
