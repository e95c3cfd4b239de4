"""Files under a prefix of an object store (`s3://`, `gs://`): the storage of a search without a shared folder.

Credentials and endpoints are configured as the store requires (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...; see Arrow's
documentation of its file systems). Objects are written atomically, so no reader sees half a checkpoint.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from hearai.errors import DataError, StoreLost
from hearai.files import atomic_write, relative_name_problem

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

T = TypeVar("T")
RETRY_PAUSES_S = (0.5, 2.0, 8.0)
"""Before each retry of a failed request."""
PARALLEL_TRANSFERS = 8
"""Files transferred at the same time."""
BLOCK_BYTES = 1 << 20
"""Read and written at once."""

log = logging.getLogger(__name__)


class ObjectStore:
    """A prefix of an object store. Pickles as its URI.

    uri: `s3://bucket/prefix`, with Arrow's options after a `?` (`region`, `endpoint_override`, `scheme`).
    """

    def __init__(self, uri: str):
        self.uri = uri
        self._sent: dict[Path, tuple[int, int]] = {}
        """{file: (bytes, modification time in ns)} of what `push` has sent."""

    def __reduce__(self) -> tuple:
        return ObjectStore, (self.uri,)

    def __str__(self) -> str:
        return self.uri.partition("?")[0]

    def below(self, *names: str) -> "ObjectStore":
        """A prefix inside this one."""
        prefix, mark, options = self.uri.partition("?")
        return ObjectStore("/".join([prefix.rstrip("/"), *names]) + mark + options)

    def push(self, folder: Path, names: Iterable[str] = (), *, skip: Iterable[str] = ()) -> int:
        """Sends the files below `folder` that have changed since this object last sent them; returns their number.

        names: files or folders in it; none = everything.
        skip: names at the top level that are not sent. Hidden (half-written) files never are.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        changed = {}
        for path in _files(folder, names, set(skip)):
            stat = path.stat()
            if self._sent.get(path) != (stat.st_size, stat.st_mtime_ns):
                changed[path] = (stat.st_size, stat.st_mtime_ns)
        _run_parallel(lambda path: self._upload(path, path.relative_to(folder).as_posix()), changed)
        self._sent |= changed
        return len(changed)

    def pull(self, folder: Path, names: Iterable[str] = (), *, skip: Iterable[str] = ()) -> int:
        """Downloads the files below this prefix into `folder`, replacing older ones; returns their number.

        names: files or folders in it; none = everything. skip: names of files or folders, at any depth, to leave out.
        A local file modified after the stored one was sent is kept: its process had no time to send it.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
            DataError: the store lists a name that would lead out of `folder`; nothing was written.
        """
        stored = {name: time_ns for top in (names or ("",)) for name, time_ns in self._list(top).items()}
        skipped = set(skip)
        wanted = {
            name: time_ns
            for name, time_ns in stored.items()
            if not skipped & set(PurePosixPath(name).parts) and not _is_newer(folder / name, time_ns)
        }
        _run_parallel(lambda item: self._download(*item, folder), wanted.items())
        return len(wanted)

    def list(self, top: str = "") -> list[str]:
        """Names of the files at or below `top`, relative to this prefix.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        return sorted(self._list(top))

    def folders(self) -> tuple[str, ...]:
        """Names of the folders directly below this prefix; what is in them is not listed.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
            DataError: the store lists a name that cannot be that of a folder here.
        """
        from pyarrow.fs import FileSelector, FileType

        def attempt() -> dict[str, int]:
            below = self._system.get_file_info(FileSelector(self._path, allow_not_found=True))
            return {entry.path: 0 for entry in below if entry.type == FileType.Directory}

        return tuple(sorted(checked_names(self._retry(attempt, "listed"), f"{self._path}/", self._path, str(self))))

    def read(self, name: str) -> bytes | None:
        """The content of a small file; None if it does not exist.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """

        def attempt() -> bytes | None:
            try:
                with self._system.open_input_stream(f"{self._path}/{name}") as stream:
                    return stream.read()
            except FileNotFoundError:
                return None

        return self._retry(attempt, f"read ({name})")

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """

        def attempt() -> None:
            with self._system.open_output_stream(f"{self._path}/{name}") as stream:
                stream.write(content)

        self._retry(attempt, f"written ({name})")

    def remove(self, *names: str) -> None:
        """Removes files, or folders with their content; names that do not exist are ignored.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        for name in (file for top in names for file in self.list(top)):
            self._retry(partial(self._system.delete_file, f"{self._path}/{name}"), f"removed ({name})")

    def _list(self, top: str) -> dict[str, int]:
        """{name: modification time in ns} of the files at or below `top`; each name is safe to join to a folder."""
        from pyarrow.fs import FileSelector, FileType

        def attempt() -> dict[str, int]:
            path = f"{self._path}/{top}".rstrip("/")
            (info,) = self._system.get_file_info([path])
            if info.type == FileType.File:
                return {path: info.mtime_ns}
            below = self._system.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
            files = [entry for entry in below if entry.type == FileType.File]
            return {entry.path: entry.mtime_ns for entry in files}

        found = self._retry(attempt, "listed")  # the first request: it may be the URI that is wrong
        prefix = f"{self._path}/"
        return checked_names(found, prefix, f"{prefix}{top}".rstrip("/"), str(self))

    @cached_property
    def _system_and_path(self) -> "tuple[FileSystem, str]":
        from pyarrow.fs import FileSystem

        return FileSystem.from_uri(self.uri)

    @property
    def _system(self) -> "FileSystem":
        return self._system_and_path[0]

    @property
    def _path(self) -> str:
        return self._system_and_path[1].rstrip("/")

    def _upload(self, path: Path, name: str) -> None:
        def attempt() -> None:
            with path.open("rb") as file, self._system.open_output_stream(f"{self._path}/{name}") as stream:
                while block := file.read(BLOCK_BYTES):
                    stream.write(block)

        self._retry(attempt, f"written ({name})")

    def _download(self, name: str, time_ns: int, folder: Path) -> None:
        path = folder / name

        def attempt() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._system.open_input_stream(f"{self._path}/{name}") as stream, atomic_write(path) as temporary:
                with temporary.open("wb") as file:
                    while block := stream.read(BLOCK_BYTES):
                        file.write(block)
                os.utime(temporary, ns=(time_ns, time_ns))

        self._retry(attempt, f"read ({name})")

    def _retry(self, attempt: Callable[[], T], action: str) -> T:
        """The result of a request, retried a few times; `action` completes "cannot be ..."."""
        for pause in (*RETRY_PAUSES_S, None):
            try:
                return attempt()
            except (OSError, ValueError) as error:  # Arrow's ArrowInvalid, for an invalid URI, is a ValueError
                reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
                if pause is None or isinstance(error, ValueError | PermissionError):
                    raise StoreLost(f"{self}: cannot be {action}: {reason}") from None
                log.info("%s: not %s (%s); retrying in %g s", self, action, reason, pause)
                time.sleep(pause)
        raise AssertionError


def checked_names(listed: Mapping[str, T], prefix: str, top: str, where: str) -> dict[str, T]:
    """{name relative to `prefix`: value} of what a store lists, once every path is known to be harmless.

    Buckets allow any name, and a server may list what it likes: `../../.bashrc` must not become a file of this machine.

    Args:
        listed: {path in the store: value}.
        prefix: what every path must begin with; ends in `/`.
        top: the path that was asked for; every path must be this one or inside of it.

    Raises:
        DataError: lists the paths that are outside of it or cannot be joined to a folder.
    """
    names, problems = {}, []
    for path, value in listed.items():
        name = path.removeprefix(prefix)
        is_inside = path.startswith(prefix) and (path == top or path.startswith(f"{top}/"))
        problem = relative_name_problem(name) if is_inside else "is not inside what was asked for"
        if problem:
            problems.append(f"{where}: the store lists {path[:100]!r}, which {problem}")
        names[name] = value
    folders = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    problems += [
        f"{where}: the store lists {name!r} both as a file and as a folder" for name in names if name in folders
    ]
    if problems:
        left = [f"{where}: and {len(problems) - 5} more such names"] if len(problems) > 5 else []
        raise DataError(
            [*problems[:5], *left, f"{where}: nothing was written; do you trust this store? remove the objects"]
        )
    return names


def _run_parallel(work: Callable[[T], None], items: Iterable[T]) -> None:
    items = list(items)
    if len(items) < 2:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(min(PARALLEL_TRANSFERS, len(items))) as pool:
        list(pool.map(work, items))


def _is_newer(path: Path, time_ns: int) -> bool:
    return path.is_file() and path.stat().st_mtime_ns > time_ns


def _files(folder: Path, names: Iterable[str], skip: set[str]) -> Iterator[Path]:
    tops = [folder / name for name in names] or sorted(folder.glob("*"))
    for top in tops:
        if top.name in skip:
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path
