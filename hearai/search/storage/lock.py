"""Who searches in a study's folder: one process at a time, and the others are told which.

A machine that stands still for so long that it counts as dead (a laptop that sleeps, a virtual machine that is moved)
finds, when it wakes up, that another has taken the study over: it ends.
"""

import json
import math
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hearai.errors import StoreLost, UserError
from hearai.files import write_whole
from hearai.search.storage.layout import JOURNAL, LOCK, OWNER
from hearai.threads import background

FRESH_S = 120.0
"""A journal written so recently is being written: a lock on a shared folder may not be seen from another machine."""
LOOK_S = 5.0
"""Between two looks whether the study is still ours."""


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """The folder is ours alone while the context lasts. What a dead process left is in nobody's way.

    Raises:
        UserError: another process is searching here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, path = FileLock(folder / LOCK), folder / OWNER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(_refusal(folder, owner_of(folder))) from None
    try:
        other = owner_of(folder)
        if other and other["host"] != socket.gethostname() and (wait := _still_fresh(folder / JOURNAL)) > 0:
            raise UserError(f"{_refusal(folder, other)}; if that machine is gone, try again in {math.ceil(wait)} s")
        _sign(path)
        try:
            yield
        finally:
            if _is_me(owner_of(folder)):
                path.unlink()
    finally:
        lock.release()


def _sign(path: Path) -> None:
    me = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time(), "command": shlex.join(sys.argv)}
    try:
        write_whole(path, json.dumps(me))
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be written ({error.strerror or error}); make room there") from None


def owner_of(folder: Path) -> dict[str, Any] | None:
    """{pid, host, since, command} of who searches here, or was killed while it did."""
    try:
        return json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def is_owned(folder: Path) -> bool:
    """Whether a process of this machine is searching here right now."""
    lock = FileLock(folder / LOCK)
    if not (folder / LOCK).exists():
        return False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _is_me(owner: Mapping[str, Any] | None) -> bool:
    return owner is not None and (owner["pid"], owner["host"]) == (os.getpid(), socket.gethostname())


def _is_other(owner: Mapping[str, Any] | None) -> bool:
    return owner is not None and not _is_me(owner)


def is_overtaken(folder: Path) -> bool:
    """Whether another process has taken the study over that was ours: nothing is to be written there any more."""
    return _is_other(owner_of(folder))


def refuse_overtaken(place: object, owner: Mapping[str, Any] | None) -> None:
    """place, owner: where a study is kept, and who searches it, as is written there; None = nobody.

    Raises:
        UserError: another process than this one.
    """
    if _is_other(owner):
        raise UserError(
            f"{place}: was taken over by {describe(owner)}, as nothing was heard of this process for {FRESH_S:g} s; it "
            "ends, and leaves all to that one"
        )


@contextmanager
def watch_ownership(check: Callable[[], None], abort: Callable[[UserError], None]) -> Iterator[None]:
    """Calls `abort`, from a thread, with the UserError that `check` raises while the context lasts."""

    def watch(done: threading.Event) -> None:
        while not done.wait(LOOK_S):
            try:
                check()
            except StoreLost:
                continue  # that is for those to tell who need it
            except UserError as error:
                return abort(error)

    with background(watch):
        yield


def describe(owner: Mapping[str, Any] | None) -> str:
    """`process 123 on HOST since 12:03 (2 h 05 min): python experiments/tune.py ...`."""
    if owner is None:
        return "another process"
    hours, minutes = divmod(max(0, int(time.time() - owner["since"])) // 60, 60)
    began = time.strftime("%F %H:%M", time.localtime(owner["since"]))
    return (
        f"process {owner['pid']} on {owner['host']} since {began} ({hours} h {minutes:02d} min): "
        f"python {owner['command']}"
    )


def _refusal(folder: Path, owner: Mapping[str, Any] | None) -> str:
    return f"{folder}: is being searched by {describe(owner)}; wait for it, or give another --name"


def _still_fresh(journal: Path) -> float:
    """For how many seconds more it counts as being written."""
    return journal.stat().st_mtime + FRESH_S - time.time() if journal.exists() else 0.0
