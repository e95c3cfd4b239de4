"""Simulates a search engine on a virtual clock: training is replaced by learning curves, so hours take seconds.

The engine's own code is unchanged. It is asked for a run whenever a virtual worker is free, and receives the epochs of
all runs in the order in which they would end.
"""

import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hearai.config.search_space.domains import Value

START_SECONDS = 0.5
"""Between two trials of a reused actor, as measured."""


@dataclass(frozen=True)
class Run:
    """A trial that an engine has proposed."""

    key: str
    params: Mapping[str, Value]
    seed: int = 0


class Engine(Protocol):
    """Proposes runs and decides after each epoch whether they continue."""

    def ask(self) -> Run | None:
        """The next run; None if there is none (for now).

        A run with the key of one that did not continue was paused: it continues after its last epoch.
        """

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        """Reports the best value so far of a run after an epoch; returns whether it continues after it.

        value: NaN if the run has diverged; it has then ended, and `last` is true.
        """


@runtime_checkable
class Recommends(Protocol):
    """An engine with an opinion of its own on which config is the best."""

    def recommended(self) -> Mapping[str, Value] | None:
        """The config that it would choose now; None = the one with the best report."""


class Task(Protocol):
    """What is trained: learning curves and their cost."""

    @property
    def epochs(self) -> int:
        """Epochs of a complete run."""

    def curve(self, params: Mapping[str, Value], seed: int) -> list[float]:
        """The objective after each epoch; NaN from where the run has diverged."""

    def true_value(self, params: Mapping[str, Value]) -> float:
        """The objective without noise."""

    def epoch_seconds(self, params: Mapping[str, Value]) -> float:
        """Seconds of an epoch."""


@dataclass(frozen=True)
class Incumbent:
    """The best config of a search at some point of its budget."""

    epochs: int
    """Trial-epochs spent by all runs."""
    seconds: float
    """On the virtual clock."""
    true_value: float
    """Noise-free value of the config with the best reported value so far."""


@dataclass
class _Running:
    run: Run
    curve: list[float]
    epoch_seconds: float
    epoch: int = 0


def simulate(engine: Engine, task: Task, *, workers: int, epoch_budget: int) -> Iterator[Incumbent]:
    """Yields the incumbent after every epoch until the budget is used up or the engine has no more runs."""
    clock, spent, order = 0.0, 0, 0
    best, true_value = -math.inf, 0.0
    paused: dict[str, _Running] = {}
    ends: list[tuple[float, int, _Running]] = []  # (end of the next epoch, tie-breaker, run)
    while spent < epoch_budget:
        while len(ends) < workers and (run := engine.ask()):
            running = paused.pop(run.key, None) or _started(run, task)
            order += 1
            heapq.heappush(ends, (clock + START_SECONDS + running.epoch_seconds, order, running))
        if not ends:
            return
        clock, _, running = heapq.heappop(ends)
        spent, running.epoch = spent + 1, running.epoch + 1
        diverged = math.isnan(running.curve[running.epoch - 1])
        value = math.nan if diverged else max(running.curve[: running.epoch])
        last = diverged or running.epoch == task.epochs
        if value > best:
            best, true_value = value, task.true_value(running.run.params)
        yield Incumbent(spent, clock, true_value)
        should_continue = engine.tell(running.run.key, running.epoch, value, last)
        if should_continue and not last:
            order += 1
            heapq.heappush(ends, (clock + running.epoch_seconds, order, running))
        elif not last:
            paused[running.run.key] = running


def _started(run: Run, task: Task) -> _Running:
    return _Running(run, task.curve(run.params, run.seed), task.epoch_seconds(run.params))
