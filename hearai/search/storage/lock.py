"""Only one process searches in a study folder. Others are refused, and learn which process that is.

A machine that is suspended (a laptop that sleeps, a virtual machine that is migrated) may be considered dead. When it
wakes up and another process has taken the study over, its search ends.
"""

import json
import logging
import math
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from hearai.errors import StoreLost, UserError
from hearai.files import atomic_write_text
from hearai.search.storage.layout import JOURNAL, LOCK, OWNER
from hearai.threads import LockHeld, background, file_lock

log = logging.getLogger(__name__)

STALE_S = 120.0
"""A search whose journal is older is considered dead. Other machines may not see the lock of a shared folder."""
CLOCK_SKEW_S = 10.0
"""By how much the clocks of two machines may differ unnoticed."""
POLL_S = 1.0
"""Between two looks at a time that lies in the future."""
LATEST = 2.0**35
"""Seconds since 1970 that a clock may show, in the year 3058."""
CLOCK_STEP_S = 2.0
"""By how much the start of a process, which the kernel counts from the boot, may seem later than it was."""
CHECK_INTERVAL_S = 5.0
"""Between two checks that this process still owns the study."""


class JournalGone(UserError):
    """The journal was moved, deleted or replaced while its search was running."""

    def __init__(self, path: Path):
        super().__init__(
            f"{path}: is gone, or was replaced: its folder was moved or deleted while it was searched; this search "
            "ends and writes nothing there. Move the folder back, then the same command continues; or continue under "
            "its new name with --name"
        )


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Locks a study folder for the duration of a with block. What a dead process left does not block it.

    Where the file system has no locks, the recorded owner is one as long as its process is alive.

    Raises:
        UserError: another process is searching there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OWNER
    with ExitStack() as stack:
        try:
            is_locked = stack.enter_context(file_lock(folder / LOCK, wait=False))
        except LockHeld:
            raise UserError(_refusal(folder, read_owner(folder))) from None
        other = read_owner(folder)
        if not is_locked and _is_alive(other):
            raise UserError(_refusal(folder, other))
        is_elsewhere = other is not None and other["host"] != socket.gethostname()
        if is_elsewhere and (wait := seconds_until_stale(lambda: _written(folder), folder)) > 0:
            raise UserError(f"{_refusal(folder, other)}; if that machine is down, try again in {math.ceil(wait)} s")
        _write_owner(path)
        try:
            yield
        finally:
            if _is_this_process(read_owner(folder)):
                path.unlink()


def _write_owner(path: Path) -> None:
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time(), "command": shlex.join(sys.argv)}
    try:
        atomic_write_text(path, json.dumps(owner))
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be written ({error.strerror or error}); free some space") from None


def record_dashboard(folder: Path, url: str | None) -> None:
    """Adds the address of Ray's dashboard to the record of the process that searches here, if it is this one."""
    owner = read_owner(folder)
    if owner is not None and _is_this_process(owner):
        atomic_write_text(folder / OWNER, json.dumps({**owner, "dashboard": url}))


def read_owner(folder: Path) -> dict[str, Any] | None:
    """{pid, host, since, command} of the process that searches here, or was killed while it did; `dashboard`: the
    address of its Ray dashboard, once Ray has started.

    None: no process, or the file holds something else.
    """
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return owner if _is_owner(owner) else None


def _is_owner(owner: Any) -> bool:
    kinds = {"pid": int, "host": str, "since": int | float, "command": str}
    if not isinstance(owner, dict) or not all(isinstance(owner.get(key), kind) for key, kind in kinds.items()):
        return False
    return 0 <= owner["since"] < LATEST and isinstance(owner.get("dashboard"), str | None)


def is_recent(folder: Path) -> bool:
    """Whether the journal was written so lately that a search on another machine counts as running."""
    return is_fresh(_written(folder))


def is_locked(folder: Path) -> bool:
    """Whether a process of this machine is currently searching here; False where that cannot be seen."""
    if not (folder / LOCK).exists():
        return False
    try:
        with file_lock(folder / LOCK, wait=False) as has_locks:
            return not has_locks and _is_alive(read_owner(folder))
    except LockHeld:
        return True
    except OSError:  # the study of another user
        return False


def _is_alive(owner: Mapping[str, Any] | None) -> bool:
    """Whether the owner is a process of this machine that lives, and not a later one with its number."""
    if owner is None or owner["host"] != socket.gethostname():
        return False
    with suppress(psutil.Error, ValueError, OverflowError):
        return psutil.Process(owner["pid"]).create_time() <= owner["since"] + CLOCK_STEP_S
    return False


def _is_this_process(owner: Mapping[str, Any] | None) -> bool:
    return owner is not None and (owner["pid"], owner["host"]) == (os.getpid(), socket.gethostname())


def _is_other_process(owner: Mapping[str, Any] | None) -> bool:
    return owner is not None and not _is_this_process(owner)


def is_taken_over(folder: Path) -> bool:
    """Whether another process has taken over the study of this one, which must not write there any more."""
    return _is_other_process(read_owner(folder))


def raise_if_taken_over(location: object, owner: Mapping[str, Any] | None) -> None:
    """location, owner: where the study is stored, and the owner recorded there; None = no process.

    Raises:
        UserError: the owner is another process.
    """
    if _is_other_process(owner):
        raise UserError(
            f"{location}: was taken over by {describe_owner(owner)}, because this process did not respond for "
            f"{STALE_S:g} s; this search ends, the other one continues"
        )


@contextmanager
def watch_ownership(check: Callable[[], None], abort: Callable[[UserError], None]) -> Iterator[None]:
    """Runs `check` in a background thread during a with block; passes the UserError that it raises to `abort`."""

    def watch(done: threading.Event) -> None:
        while not done.wait(CHECK_INTERVAL_S):
            try:
                check()
            except StoreLost:
                continue  # reported by those who need the store
            except UserError as error:
                return abort(error)

    with background(watch):
        yield


def describe_owner(owner: Mapping[str, Any] | None) -> str:
    """`process 123 on HOST since 2030-01-31 12:03 (2 h 05 min): python experiments/tune.py ...`."""
    if owner is None:
        return "another process"
    hours, minutes = divmod(max(0, int(time.time() - owner["since"])) // 60, 60)
    since = time.strftime("%F %H:%M", time.localtime(owner["since"]))
    return (
        f"process {owner['pid']} on {owner['host']} since {since} ({hours} h {minutes:02d} min): "
        f"python {owner['command']}"
    )


def _refusal(folder: Path, owner: Mapping[str, Any] | None) -> str:
    return f"{folder}: is being searched by {describe_owner(owner)}; wait until it ends, or give another --name"


def _written(folder: Path) -> float:
    """When the journal was written last, in seconds since 1970; 0 without one."""
    journal = folder / JOURNAL
    return journal.stat().st_mtime if journal.exists() else 0.0


def is_fresh(written: float) -> bool:
    """Whether a sign of life is so recent that its search counts as running, for a view that cannot wait."""
    return abs(time.time() - written) < STALE_S


def seconds_until_stale(written: Callable[[], float], location: object) -> float:
    """How long a search on another machine still counts as running; 0 or less = it counts as dead.

    A sign of life that lies in the future, by a clock that was ahead, says nothing about its age: it is watched for as
    long as any other would count, and one that changes is of a search that runs.

    Args:
        written: reads when the search has given its last sign of life, in seconds since 1970.
        location: of the study, for the log.
    """
    first = written()
    if not first > time.time() + CLOCK_SKEW_S:  # NaN, of a damaged record, counts as dead
        return min(first + STALE_S - time.time(), STALE_S)
    log.warning(
        "%s: its last change lies in the future (%s), by a clock that was ahead; watching for %g s whether another "
        "search still writes there",
        location,
        time.strftime("%F %H:%M", time.localtime(min(first, LATEST))),
        STALE_S,
    )
    deadline = time.monotonic() + STALE_S
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        if written() != first:
            return STALE_S
    return 0.0
