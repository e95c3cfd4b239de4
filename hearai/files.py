"""Files: where those lie that can be made again, and writing one whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hearai.errors import DiskFull

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors that a full disk raises, or one whose share for this user is used up."""
UNWRITABLE = (*FULL, errno.EROFS, errno.EIO, errno.ESTALE)
"""The same of any disk that takes nothing: it has become read-only, is broken, or a network's and gone."""


def cache_folder() -> Path:
    """Folder of everything that can be computed again: $HEARAI_CACHE, else ~/.cache/hearai."""
    return Path(os.environ.get("HEARAI_CACHE") or Path.home() / ".cache" / "hearai")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write; it takes the place of `path` in one move when the block ends well.

    So no reader ever sees half of it, and a power cut leaves the old or the new one.

    Raises:
        DiskFull: there is no room; `path` is as it was.
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
        with suppress(OSError):  # a disk that has become read-only keeps what was half-written
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Replaces a text file in one move."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def disk_full(path: str | Path, number: int | None = errno.ENOSPC) -> DiskFull:
    """Names the disk and says what helps. number: of the error that was raised."""
    if number not in FULL:
        return DiskFull(
            f"{path}: cannot be written ({os.strerror(number or 0)}); what was there before is as it was: make it "
            "writable, and give the same command again"
        )
    folder = next(parent for parent in (Path(path).absolute(), *Path(path).absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    return DiskFull(
        f"{path}: cannot be written, its disk is full ({free / 1e6:.1f} MB left in {folder}); what was there before is "
        "as it was: make room, and give the same command again"
    )
