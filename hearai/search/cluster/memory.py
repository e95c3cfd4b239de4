"""Peak memory of a search: proportional set size (PSS) of this process and its descendants, Ray's included."""

import threading
from collections.abc import Iterable

import psutil

INTERVAL_S = 2.0


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
