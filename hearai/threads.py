"""Threads: how many cores this process may use, waiting with little spinning, and functions in the background.

And signals, which only the main thread receives; and locks of files, between threads and processes. Some file systems
have none: NFS without its lock service, some in user space (FUSE). What would be locked there runs without a lock, and
the log says so once. (The package filelock raises there, or makes a file that stays when its process is killed; and it
has no locks that several share, which caches in use need.)
"""

import errno
import fcntl
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)

Work = Callable[[threading.Event], None]
"""Runs until the event is set, and checks it often."""

ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "2000",
    "KMP_BLOCKTIME": "0",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Read by libraries when they are loaded. The threads of GNU's OpenMP, which torch brings, spin for a moment while they
wait, then sleep; those of Intel's and LLVM's sleep at once. Those of OpenBLAS, in NumPy and SciPy, can only spin, so it
has one: our matrices have a few hundred rows."""
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""Error numbers of file systems without locks."""

_reported: set[int] = set()
"""Devices without locks that the log has named."""


def usable_cores(*, groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """How many cores this process may use: its affinity, and the quotas of its control groups (containers).

    At least 1; 2.5 cores count as 2, as a third thread would be suspended half of the time.

    Args:
        groups: where the control groups are mounted, version 1 or 2.
        own: the file that names those of this process.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, *map(int, _quotas(groups, own))))


def limit_spinning() -> None:
    """Keeps the threads of libraries from spinning for long while they wait, unless the user's environment says how.

    On a busy machine a thread that spins takes the core from the one that it waits for; on a quiet one it is spared a
    wake-up in each operation. Only libraries that are loaded later obey: call it before torch and NumPy are imported.
    """
    has_policy = os.environ.get("OMP_WAIT_POLICY", "").strip().upper() in ("ACTIVE", "PASSIVE")
    for name, value in ENVIRONMENT.items():
        if not (has_policy and name == "GOMP_SPINCOUNT"):  # it would take precedence over the user's policy
            os.environ.setdefault(name, value)


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """The quota, in cores, of each control group of this process and of the groups above it; no limit = infinite."""
    yield float(2**31)
    for folder in control_groups("cpu", groups=groups, own=own):
        yield from _quota_of(folder)


def control_groups(
    controller: str, *, groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> Iterator[Path]:
    """Folders of the control groups of this process and of the groups above it, which hold its limits.

    Args:
        controller: `cpu`, `memory` or `pids`.
        groups: where the control groups are mounted, version 1 or 2.
        own: the file that names those of this process.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        is_named = controller in controllers.split(",")
        for mount in ("", "unified") if not controllers else (controller, controllers) if is_named else ():
            root = groups / mount
            group = root / path.lstrip("/")
            # In a container the path may be the one outside of it: then only the root is seen here.
            for folder in (group, *group.parents):
                if folder.is_relative_to(root):
                    yield folder


def _quota_of(folder: Path) -> Iterator[float]:
    """The quota of one group, in cores, if it has one."""
    try:
        if (folder / "cpu.max").exists():  # version 2: "200000 100000" or "max 100000"
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if quota != "max" and float(quota) > 0:  # version 1: -1 = no limit
            yield float(quota) / float(period)
    except (OSError, ValueError):  # no such controller here
        return


def is_main_thread() -> bool:
    """Whether this thread receives signals; only there may handlers be set."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C takes effect at the end of the `with` block: what is half done in it could not be done again."""
    held: list[object] = []
    before = signal.getsignal(signal.SIGINT)
    if not is_main_thread() or not callable(before):  # ignored
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: held.append(_))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        before(signal.SIGINT, None)


@contextmanager
def hangups_blocked() -> Iterator[None]:
    """Ray's processes inherit that they outlive the terminal: the search saves its state and then ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class BackgroundThread:
    """A daemon thread that runs `work` until `stop`.

    Threads that only watch or repeat something are started here: `run` in their stacks tells them from the one that
    does the work, see `hearai.search.trial.stack_dump`.
    """

    def __init__(self, work: Work):
        self._work, self._stopping = work, threading.Event()
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sets the event of `work` and waits until it has returned."""
        self._stopping.set()
        self._thread.join()

    def run(self) -> None:
        """The body of the thread."""
        self._work(self._stopping)


@contextmanager
def background(work: Work) -> Iterator[None]:
    """Runs `work` in a background thread for the duration of the `with` block."""
    thread = BackgroundThread(work)
    try:
        yield
    finally:
        thread.stop()


class SideThread:
    """A thread that runs one function at a time beside the thread that gives it; the process waits for its end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._running: Future[object] | None = None

    def start(self, work: Callable[[], object]) -> None:
        """Starts `work` once the function before it has ended.

        Raises:
            Whatever that one has raised; `work` is then not started.
        """
        self.wait()
        self._running = self._pool.submit(work)

    def wait(self) -> None:
        """Waits for the end of the last function, and raises what it has raised; an exception is raised once."""
        running, self._running = self._running, None
        if running:
            running.result()

    def close(self) -> None:
        """`wait`, and then ends the thread."""
        try:
            self.wait()
        finally:
            self._pool.shutdown()


class LockHeld(Exception):
    """Another process, or another thread of this one, holds the lock."""


@contextmanager
def file_lock(path: Path, *, wait: bool = True, on_wait: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Locks a file, which is created and stays, for the duration of a with block; one process at a time.

    Yields whether it is locked: False where its file system has no locks.

    Args:
        wait: for the end of the lock of another process.
        on_wait: called before such a wait.

    Raises:
        LockHeld: another process holds it, unless `wait`.
        OSError: the file cannot be created.
    """
    try:
        file, is_locked = open_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except LockHeld:
        if not wait:
            raise
        on_wait()
        file, is_locked = open_locked(path, fcntl.LOCK_EX)
    with file:
        try:
            yield is_locked
        finally:
            if is_locked:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)  # forked processes have the file open, too


def open_locked(path: Path, mode: int) -> tuple[IO[bytes], bool]:
    """Opens and locks a file; once more if it was removed in between by who had locked it.

    mode: of `fcntl.flock`.

    Returns:
        (the open file, whether it is locked: False where its file system has no locks).

    Raises:
        LockHeld: another process holds it, and the mode does not wait.
        OSError: the file cannot be created.
    """
    while True:
        file = path.open("ab")
        try:
            is_locked = _flock(file, mode, path)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file, is_locked
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _flock(file: IO[bytes], mode: int, path: Path) -> bool:
    try:
        fcntl.flock(file, mode)
    except (BlockingIOError, PermissionError):
        raise LockHeld(path) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _report(path, error)
        return False
    return True


def _report(path: Path, error: OSError) -> None:
    """Says once for each file system that it has no locks."""
    device = path.stat().st_dev
    if device not in _reported:
        _reported.add(device)
        log.warning(
            "%s: its file system has no locks (%s); continuing without them: do not run two commands that write the "
            "same folder at the same time",
            path.parent,
            error.strerror,
        )
