"""Where a Ray of this machine keeps its sockets and logs: a folder with a short path that belongs to this user."""

import logging
import os
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hearai.errors import UserError
from hearai.files import LONGEST_TMPDIR

SYSTEM_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
"""Where a folder of our own is looked for if the usual one cannot be used."""
SESSION = "session_2000-01-01_00-00-00_000000_{pid}/sockets/dash_TaskEventsHead"
"""The longest path of a socket, below Ray's folder."""
LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes of a socket's path that the operating system takes."""
LEAST_FREE = 10_000_000
"""Bytes of free space. The logs of a short search are 2 MB; where they cannot be written, Ray's start times out."""

log = logging.getLogger(__name__)


def choose_session_folder() -> None:
    """Sets RAY_TMPDIR where the folder that Ray would use (TMPDIR, else /tmp) cannot be used.

    Raises:
        UserError: RAY_TMPDIR is set to a folder that cannot be used, or there is no other one either.
    """
    if "RAY_TMPDIR" in os.environ:
        folder = os.environ["RAY_TMPDIR"]
        if problem := _problem(folder):
            raise UserError(
                f"RAY_TMPDIR: {folder!r} {problem}; set it to a folder of your own with a short path, or unset it"
            )
        return
    default = os.environ.get("TMPDIR", "/tmp") if sys.platform.startswith("linux") else "/tmp"
    problem = _problem(default)
    if not problem:
        return
    for folder in SYSTEM_FOLDERS:
        private = _private_folder(Path(folder))
        if private and not _problem(private):
            os.environ["RAY_TMPDIR"] = private
            log.info("Ray's sockets and logs are in %s/ray: TMPDIR %s", private, problem)
            return
    raise UserError(
        f"Ray's sockets and logs: {default!r} {problem}, nor can a folder be made in {', '.join(SYSTEM_FOLDERS)}; set "
        "RAY_TMPDIR to a folder of your own with a short path"
    )


@contextmanager
def short_tmpdir() -> Iterator[None]:
    """Replaces a TMPDIR that is too long for sockets by Ray's folder, for processes started within a with block.

    Ray's dashboard starts with one of Python's process pools, whose sockets are in TMPDIR.
    """
    before, folder = os.environ.get("TMPDIR", ""), os.environ.get("RAY_TMPDIR")
    if not folder or len(os.fsencode(before)) <= LONGEST_TMPDIR:
        yield
        return
    os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        os.environ["TMPDIR"] = before


def _problem(folder: str) -> str | None:
    """Why Ray cannot use `folder`, in which it makes a folder `ray`, as the end of a sentence; None = it can."""
    path = Path(folder) / "ray"
    if not path.is_absolute():
        return "is no absolute path"
    longest = LONGEST_SOCKET - len(os.fsencode(f"/ray/{SESSION.format(pid=os.getpid())}"))
    if len(os.fsencode(folder)) > longest:
        return f"has a path of {len(os.fsencode(folder))} bytes, and Ray's sockets allow {longest}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        if (owner := path.stat().st_uid) != os.geteuid():
            return f"has a folder 'ray' that belongs to another user (number {owner})"
        with (
            tempfile.TemporaryDirectory(prefix=".hearai-", dir=path) as scratch,
            socket.socket(socket.AF_UNIX) as probe,
        ):
            probe.bind(f"{scratch}/s")
        if (free := shutil.disk_usage(path).free) < LEAST_FREE:
            return f"has {free / 1e6:.1f} MB of free space, and Ray's logs need {LEAST_FREE / 1e6:.0f}"
    except OSError as error:
        return f"cannot be used for Ray's sockets ({error.strerror or error})"
    return None


def _private_folder(parent: Path) -> str | None:
    """A folder of this user that others cannot enter; None = it cannot be made, or belongs to another user."""
    folder = parent / f"hearai-{os.geteuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            folder.chmod(0o700)
            return str(folder)
    return None
