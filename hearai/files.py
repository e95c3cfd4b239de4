"""The cache folder, atomic writes, names that are safe to join to a folder, and readable errors for paths."""

import csv
import errno
import fcntl
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from hearai.errors import DiskFull, UserError
from hearai.threads import LockHeld, open_locked

PACKAGE = Path(__file__).parent
"""The folder of the package that this process has imported."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk or an exhausted quota."""
UNWRITABLE = (*NO_SPACE, errno.EROFS, errno.EIO, errno.ESTALE)
"""Error numbers of any disk that cannot be written: full, read-only, broken, or a network file system that is gone."""
MAX_NAME = 200
"""Letters of a name that becomes a folder: file systems allow 255 bytes, some of which temporary names need."""
LONGEST_TMPDIR = 70
"""Bytes of TMPDIR: the sockets of process pools and shared tensors have some 30 more, of 107 (macOS: 103) at most."""
NO_HOME = "this user has no home folder: set HOME to a writable folder"
"""Other variables replace some folders in it, but not all: Ray asks for it as soon as it is imported."""
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def cache_folder() -> Path:
    """The folder of everything that can be recomputed: $HEARAI_CACHE, else ~/.cache/hearai.

    Raises:
        UserError: neither the variable nor a home folder is known.
    """
    return home_folder("HEARAI_CACHE", ".cache", "hearai")


@contextmanager
def caches_in(folder: Path) -> Iterator[None]:
    """Caches in this folder instead, within a with block: for what does not belong in the user's."""
    with _variable("HEARAI_CACHE", str(folder)):
        yield


def python_path() -> str:
    """PYTHONPATH for processes that import this package, which may be known to this one by its `sys.path` alone."""
    return os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))


@contextmanager
def package_for_children() -> Iterator[None]:
    """Processes that are started within a with block find this package."""
    with _variable("PYTHONPATH", python_path()):
        yield


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """The environment variable has this value within a with block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        os.environ.update({} if before is None else {name: before})


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def home_folder(variable: str, *default: str) -> Path:
    """The folder that an environment variable names, else the folder `default` in the user's home.

    Raises:
        UserError: the variable is not set, and the user has no home folder.
    """
    if folder := os.environ.get(variable):
        return Path(folder)
    try:
        return Path.home().joinpath(*default)
    except RuntimeError:  # neither HOME nor an entry of this user in the password database
        raise UserError(NO_HOME) from None


def folder_name_problem(name: str) -> str | None:
    """Why a name cannot be used as the name of a folder, or None."""
    if len(name) > MAX_NAME:
        return f"got {name[:20]!r}... of {len(name)} letters; give at most {MAX_NAME}"
    if not FOLDER_NAME.fullmatch(name):
        return f"got {name!r}; use letters, digits, '.', '_' and '-', with a letter or digit first"
    return None


def relative_name_problem(name: str) -> str | None:
    """Why a path that came from outside cannot be joined to a folder, or None. name: with `/` between its parts."""
    parts = name.split("/")
    if name.startswith("/"):
        return "is absolute"
    if "" in parts:
        return "has an empty part"
    if "." in parts or ".." in parts:
        return "has a part that leads elsewhere ('.' or '..')"
    if "\\" in name or not name.isprintable():
        return "has a backslash or a control character"
    if any(len(os.fsencode(part)) > 255 for part in parts):
        return "has a part of more than 255 bytes"
    return None


def path_error(error: OSError) -> str:
    """One line for an error of the file system: `PATH: cannot be read or written (REASON); what to do`."""
    path, reason = os.fsdecode(error.filename or ""), error.strerror or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        in_the_way = next((part for part in (Path(path), *Path(path).parents) if part.is_file()), None)
        if in_the_way:
            return f"{path}: cannot be used, because {in_the_way} is a file; give another folder, or move it away"
    todo = "give a path that exists, or one that can be created"
    if not isinstance(error, FileNotFoundError):
        todo = "give another path"
    if isinstance(error, PermissionError):
        todo = "give a path that you may read and write, or change its permissions"
    if error.errno == errno.ENAMETOOLONG:
        path, todo = f"{Path(path).parent}/{Path(path).name[:20]}...", "give a shorter name"
    if _is_inside(path, os.environ.get("HEARAI_CACHE")):
        todo = "set HEARAI_CACHE to a writable folder"
    elif _is_inside(path, os.path.expanduser("~")):
        todo += ", or set HEARAI_CACHE if it is a cache"
    return f"{path}: cannot be read or written ({reason}); {todo}"


def _is_inside(path: str, folder: str | None) -> bool:
    return bool(folder) and Path(path).absolute().is_relative_to(Path(str(folder)).absolute())


def require_writable_folder(folder: Path, option: str) -> None:
    """Checks, before anything is written, that a folder can be created or already is a writable one.

    An empty folder is made in it, or in the folder above it that exists, and removed at once.

    option: what the user gave it as, for the message.

    Raises:
        UserError: a file is in its place or above it, or it is not permitted.
    """
    _require_writable(folder, f"{option} {folder}")


def _require_writable(folder: Path, given: str) -> None:
    if "\0" in given:
        raise UserError(f"{given}: contains a NUL character; give a folder")
    try:
        existing = next(part for part in (folder, *folder.absolute().parents) if part.exists())
        if not existing.is_dir():
            raise UserError(f"{given}: {existing} is a file; give a folder")
        is_writable = os.access(existing, os.W_OK | os.X_OK)
        if is_writable:  # the administrator may write everywhere, but /proc takes no files: only an attempt tells
            os.rmdir(tempfile.mkdtemp(prefix=".hearai-", dir=existing))
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise UserError(f"{given}: cannot be used ({error.strerror}); give a writable folder") from None
    if not is_writable:
        raise UserError(f"{given}: {existing.absolute()} is not writable; give a writable folder")


def require_writable_file(path: Path, option: str) -> None:
    """Checks, before anything is written, that a file can be created or replaced.

    option: what the user gave it as, for the message.

    Raises:
        UserError: it is a folder or a device, or its folder cannot be used.
    """
    _require_writable(path.parent, f"{option} {path}")
    if path.is_dir():
        raise UserError(f"{option} {path}: a folder; give a file")
    _refuse_special(path)


def _refuse_special(path: Path) -> None:
    """Refuses devices, pipes and sockets: replaced by a file, `/dev/null` would be one for all programs."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: a device or a pipe, which would be replaced; give another path")


def free_space(path: Path) -> tuple[int, Path]:
    """(bytes that are free on the disk of a path, the folder that was asked: itself, or the nearest that exists)."""
    folder = next(part for part in (path, *path.absolute().parents) if part.is_dir())
    return shutil.disk_usage(folder).free, folder


def require_free_space(folder: Path, size: float, what: str) -> None:
    """Checks that a folder's disk has room for `size` bytes. what: what takes them, for the message.

    Raises:
        DiskFull: it has not.
    """
    free, _ = free_space(folder)
    if size > free:
        raise DiskFull(f"{folder}: {what} need about {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free")


def lock_cache(folder: Path) -> IO[bytes] | None:
    """Protects a folder of the cache from deletion as long as the returned file is open.

    The lock is shared by any number of processes, and the operating system ends it with its process, however that dies.
    None: the folder is not in the cache, or nothing can be locked there (a read-only cache).
    """
    path = _lock_file(folder)
    try:
        return open_locked(path, fcntl.LOCK_SH)[0] if path else None  # waits while the folder is being deleted
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
        file, _ = open_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except LockHeld:
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


def _lock_file(folder: Path) -> Path | None:
    """The lock of a folder in the cache, or of a folder below it; beside it, because a dataset's files are compared."""
    root, folder = cache_folder().absolute(), folder.absolute()
    if not folder.is_relative_to(root) or folder == root or not root.is_dir():
        return None
    return root / f".{folder.relative_to(root).parts[0]}.use"


def csv_text(rows: Iterable[Sequence[object]], separator: str = ",") -> str:
    """Rows as CSV; quoted where needed, lines end with a newline."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary file in the same folder, which replaces `path` when the block ends without an exception.

    Readers never see a partial file, and a power failure leaves either the old or the new one.

    Raises:
        DiskFull: the disk cannot be written; `path` is unchanged.
        UserError: `path` is a device or a pipe.
    """
    _refuse_special(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            if error.filename == str(temporary):
                error.filename = str(path)  # the name that the user knows
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
    free, folder = free_space(Path(path).absolute())
    return DiskFull(
        f"{path}: cannot be written, its disk is full ({free / 1e6:.1f} MB free in {folder}); its previous content is "
        "intact: free some space, and run the same command again"
    )
