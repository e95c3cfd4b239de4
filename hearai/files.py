"""The cache folder, and atomic writes with readable errors for full or broken disks."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from hearai.errors import DiskFull

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk or an exhausted quota."""
UNWRITABLE = (*NO_SPACE, errno.EROFS, errno.EIO, errno.ESTALE)
"""Error numbers of any disk that cannot be written: full, read-only, broken, or a network file system that is gone."""


def cache_folder() -> Path:
    """The folder of everything that can be recomputed: $HEARAI_CACHE, else ~/.cache/hearai."""
    return Path(os.environ.get("HEARAI_CACHE") or Path.home() / ".cache" / "hearai")


def lock_cache(folder: Path) -> IO[bytes] | None:
    """Protects a folder of the cache from deletion as long as the returned file is open.

    The lock is shared by any number of processes, and the operating system ends it with its process, however that dies.
    None: the folder is not in the cache, or nothing can be locked there (a read-only cache).
    """
    path = _lock_file(folder)
    try:
        return _open_locked(path, fcntl.LOCK_SH) if path else None  # waits while the folder is being deleted
    except OSError:
        return None


@contextmanager
def using_caches(folders: Iterable[Path]) -> Iterator[None]:
    """Protects folders from deletion for the duration of a with block; those outside of the cache are ignored."""
    with ExitStack() as stack:
        for folder in folders:
            if file := lock_cache(folder):
                stack.enter_context(file)
        yield


@contextmanager
def deleting_cache(folder: Path) -> Iterator[bool]:
    """Whether nothing uses a folder of the cache; if so, nothing starts to use it during the with block."""
    path = _lock_file(folder)
    assert path is not None, f"{folder} is not in the cache"
    try:
        file = _open_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    with file:
        try:
            yield True
        finally:
            path.unlink()


def cache_users(folder: Path) -> list[int]:
    """Ids of the processes of this machine that use a folder of the cache, as far as the kernel tells."""
    path = _lock_file(folder)
    with suppress(OSError, ValueError, IndexError):
        inode = str(path.stat().st_ino) if path else ""
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return sorted({int(row[4]) for row in rows if row[1] == "FLOCK" and row[5].rpartition(":")[2] == inode})
    return []


def _open_locked(path: Path, mode: int) -> IO[bytes]:
    """Opens and locks a file; once more if it was removed in between by who had locked it."""
    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, mode)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _lock_file(folder: Path) -> Path | None:
    """The lock of a folder in the cache, or of a folder below it; beside it, because a dataset's files are compared."""
    root, folder = cache_folder().absolute(), folder.absolute()
    if not folder.is_relative_to(root) or folder == root or not root.is_dir():
        return None
    return root / f".{folder.relative_to(root).parts[0]}.use"


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
