"""What a stretch of work costs: wall time, and CPU time, which other work on the machine disturbs less."""

import resource
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

import psutil

INTERVAL_S = 1.0
"""Between two looks at the processes."""


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time, and of CPU time over all threads and ended child processes."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.wall - other.wall, self.cpu - other.cpu)

    def __mul__(self, factor: float) -> "Cost":
        return Cost(self.wall * factor, self.cpu * factor)


class Watch:
    """Holds the cost of its `with` block, once that has ended."""

    cost = Cost()


def now() -> Cost:
    """The clocks: only differences have a meaning."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Cost(time.perf_counter(), sum(usage.ru_utime + usage.ru_stime for usage in usages))


@contextmanager
def measured() -> Iterator[Watch]:
    """Measures the block, in this process and in its children that end within it."""
    watch, started = Watch(), now()
    yield watch
    watch.cost = now() - started


def median(costs: Sequence[Cost]) -> Cost:
    """The medians of both clocks."""
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))


class ProcessesCpu:
    """CPU seconds of this process and all below it, looked at every second: those that have ended count as well."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, float], float] = {}
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "ProcessesCpu":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def seconds(self) -> float:
        """Up to now."""
        me = psutil.Process()
        with self._lock:
            for process in [me, *me.children(recursive=True)]:
                try:
                    times = process.cpu_times()
                    self._seconds[process.pid, process.create_time()] = times.user + times.system
                except psutil.NoSuchProcess:
                    continue  # it ended after it was listed
            return sum(self._seconds.values())

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self.seconds()
