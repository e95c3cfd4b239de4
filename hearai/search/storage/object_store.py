"""Where a search's files go that are not on a shared folder: a prefix of an object store (`s3://`, `gs://`).

Credentials and endpoints are the store's own business (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...; see Arrow's
documentation of its file systems). Objects appear whole or not at all, so nobody reads half a checkpoint.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from hearai.errors import StoreLost
from hearai.files import replacing

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

T = TypeVar("T")
PAUSES_S = (0.5, 2.0, 8.0)
"""Between attempts: a store that answers now and then is worth a few of them."""
AT_ONCE = 8
"""Files on their way at the same time."""

log = logging.getLogger(__name__)


class Store:
    """A prefix of an object store. Pickles as its address alone.

    uri: `s3://bucket/prefix`, with Arrow's options behind a `?` (`region`, `endpoint_override`, `scheme`).
    """

    def __init__(self, uri: str):
        self.uri = uri
        self._sent: dict[Path, tuple[int, int]] = {}
        """What `push` has sent: {file: (bytes, ns of its last change)}."""

    def __reduce__(self) -> tuple:
        return Store, (self.uri,)

    def __str__(self) -> str:
        return self.uri.partition("?")[0]

    def below(self, *names: str) -> "Store":
        """A prefix inside this one."""
        place, mark, options = self.uri.partition("?")
        return Store("/".join([place.rstrip("/"), *names]) + mark + options)

    def push(self, folder: Path, names: Iterable[str] = (), *, skip: Iterable[str] = ()) -> int:
        """Sends the files below `folder` that have changed since this object last sent them; how many.

        names: files or folders in it; none = everything.
        skip: names at the top that stay here; hidden (half-written) files always do.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        changed = {}
        for path in _files(folder, names, set(skip)):
            stat = path.stat()
            if self._sent.get(path) != (stat.st_size, stat.st_mtime_ns):
                changed[path] = (stat.st_size, stat.st_mtime_ns)
        self._each(lambda path: self._send(path, path.relative_to(folder).as_posix()), changed)
        self._sent |= changed
        return len(changed)

    def pull(self, folder: Path, names: Iterable[str] = (), *, skip: Iterable[str] = ()) -> int:
        """Fetches what lies below this prefix into `folder`, in place of older files there; how many.

        names: files or folders in it; none = everything. skip: names of files or folders, at any depth, that stay away.
        A file here that was changed after the one in the store was sent stays: its process had no time to send it.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        there = {name: time_ns for top in (names or ("",)) for name, time_ns in self._look(top).items()}
        away = set(skip)
        wanted = {
            name: time_ns
            for name, time_ns in there.items()
            if not away & set(PurePosixPath(name).parts) and not _is_newer(folder / name, time_ns)
        }
        self._each(lambda item: self._fetch(*item, folder), wanted.items())
        return len(wanted)

    def list(self, top: str = "") -> list[str]:
        """Names of the files at or below `top`, relative to this prefix.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        return sorted(self._look(top))

    def read(self, name: str) -> bytes | None:
        """A small file; None where there is none.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """

        def found() -> bytes | None:
            try:
                with self._system.open_input_stream(f"{self._path}/{name}") as stream:
                    return stream.read()
            except FileNotFoundError:
                return None

        return self._insist(found, f"read ({name})")

    def write(self, name: str, content: bytes) -> None:
        """A small file, whole.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """

        def put() -> None:
            with self._system.open_output_stream(f"{self._path}/{name}") as stream:
                stream.write(content)

        self._insist(put, f"written ({name})")

    def remove(self, *names: str) -> None:
        """Removes files, or folders with all in them; what is not there is no trouble.

        Raises:
            StoreLost: the store cannot be reached, or refuses.
        """
        for name in (file for top in names for file in self.list(top)):
            self._insist(lambda name=name: self._system.delete_file(f"{self._path}/{name}"), f"removed ({name})")

    def _look(self, top: str) -> dict[str, int]:
        """{name: ns of its last change} of the files at or below `top`."""
        from pyarrow.fs import FileSelector, FileType

        def found() -> dict[str, int]:
            place = f"{self._path}/{top}".rstrip("/")
            (info,) = self._system.get_file_info([place])
            if info.type == FileType.File:
                return {top: info.mtime_ns}
            below = self._system.get_file_info(FileSelector(place, allow_not_found=True, recursive=True))
            files = [entry for entry in below if entry.type == FileType.File]
            return {entry.path.removeprefix(f"{self._path}/"): entry.mtime_ns for entry in files}

        return self._insist(found, "listed")

    @cached_property
    def _found(self) -> "tuple[FileSystem, str]":
        from pyarrow.fs import FileSystem

        return FileSystem.from_uri(self.uri)

    @property
    def _system(self) -> "FileSystem":
        return self._found[0]

    @property
    def _path(self) -> str:
        return self._found[1].rstrip("/")

    def _send(self, path: Path, name: str) -> None:
        def send() -> None:
            with path.open("rb") as file, self._system.open_output_stream(f"{self._path}/{name}") as stream:
                while block := file.read(1 << 20):
                    stream.write(block)

        self._insist(send, f"written ({name})")

    def _fetch(self, name: str, time_ns: int, folder: Path) -> None:
        path = folder / name

        def fetch() -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._system.open_input_stream(f"{self._path}/{name}") as stream, replacing(path) as temporary:
                with temporary.open("wb") as file:
                    while block := stream.read(1 << 20):
                        file.write(block)
                os.utime(temporary, ns=(time_ns, time_ns))

        self._insist(fetch, f"read ({name})")

    def _each(self, work: Callable[[T], None], items: Iterable[T]) -> None:
        items = list(items)
        if len(items) < 2:
            for item in items:
                work(item)
            return
        with ThreadPoolExecutor(min(AT_ONCE, len(items))) as pool:
            list(pool.map(work, items))

    def _insist(self, attempt: Callable[[], T], what: str) -> T:
        """The outcome of an attempt at the store, or of one of the next few."""
        for pause in (*PAUSES_S, None):
            try:
                return attempt()
            except (OSError, ValueError) as error:  # Arrow's ArrowInvalid, of a wrong address, is a ValueError
                reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
                if pause is None or isinstance(error, ValueError | PermissionError):
                    raise StoreLost(f"{self}: cannot be {what}: {reason}") from None
                log.info("%s: not %s (%s); again in %g s", self, what, reason, pause)
                time.sleep(pause)
        raise AssertionError


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
