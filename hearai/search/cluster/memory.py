"""Peak memory of a search, proportional set size (PSS) of this process and its descendants; and what it may use."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from hearai.threads import control_groups

INTERVAL_S = 2.0
NEEDED_GB = 2.5
"""Peak memory of a search of the smallest space, `smoke`, on 2 cores."""


class MemoryMeter:
    """Samples in a thread for the duration of a with block; `peak` in bytes. PSS counts a shared page once in total."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "MemoryMeter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self.peak = max(self.peak, total_pss())


def total_pss() -> int:
    """Bytes of this process and its descendants."""
    me = psutil.Process()
    return pss_of([me, *me.children(recursive=True)])


def pss_of(processes: Iterable[psutil.Process]) -> int:
    """Bytes of those that are alive."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended after it was listed
    return total


def usable_memory(*, groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that this process and its descendants may use: the machine's, or the limit of a control group (container).

    groups, own: see `control_groups`.
    """
    folders = control_groups("memory", groups=groups, own=own)
    return min(psutil.virtual_memory().total, *(limit for folder in folders for limit in _limit_of(folder)), 2**63)


def _limit_of(folder: Path) -> Iterator[int]:
    """The limit of one group in bytes, if it has one."""
    for name in ("memory.max", "memory.limit_in_bytes"):  # version 2: "max" = no limit; version 1: a huge number
        with suppress(OSError, ValueError):
            yield int((folder / name).read_text())


def memory_note() -> str | None:
    """A warning where the memory is less than any search needs."""
    usable = usable_memory() / 1e9
    if usable >= NEEDED_GB:
        return None
    return f"warning: only {usable:.1f} GB of memory may be used here; a small search needs about {NEEDED_GB:g} GB"
