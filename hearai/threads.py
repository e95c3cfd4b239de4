"""Threads: how many cores this process may use, waiting with little spinning, and functions in the background.

And signals, which only the main thread receives.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

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
        controller: `cpu` or `memory`.
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
