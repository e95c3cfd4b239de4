"""Engines on a virtual clock: workers that train recorded curves, so that hours pass in seconds.

All code of an engine runs as it is; only training is replaced. An engine is asked for a run whenever a virtual worker
is free, and hears of every epoch in the order in which the epochs would end.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from hearai.benchmarks.surrogate import Surrogate
from hearai.config.domains import Value

START_SECONDS = 0.5
"""Between two trials of a reused actor, as measured (README)."""


@dataclass(frozen=True)
class Run:
    """A trial as an engine wants it."""

    key: str
    params: Mapping[str, Value]
    seed: int = 0


class Engine(Protocol):
    """Proposes runs and hears how they go."""

    def ask(self) -> Run | None:
        """The next run; None when there is none (for now)."""

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        """The best value so far of a run after an epoch; whether it goes on (not asked after the last)."""


@dataclass(frozen=True)
class Moment:
    """What a user has who stops the search now."""

    epochs: int
    """Trial-epochs spent by all runs."""
    seconds: float
    """On the virtual clock."""
    truth: float
    """What the config is worth, noise apart, whose reported value is the best so far."""


@dataclass
class _Running:
    run: Run
    curve: list[float]
    pace: float
    epoch: int = 0


def simulate(engine: Engine, task: Surrogate, *, workers: int, epoch_budget: int) -> Iterator[Moment]:
    """Every epoch until the budget is spent or the engine has no more runs."""
    clock, spent, order = 0.0, 0, 0
    best, truth = -1.0, 0.0
    ends: list[tuple[float, int, _Running]] = []  # when the next epoch of each run ends
    while spent < epoch_budget:
        while len(ends) < workers and (run := engine.ask()):
            running = _Running(run, task.curve(run.params, run.seed), task.epoch_seconds(run.params))
            order += 1
            heapq.heappush(ends, (clock + START_SECONDS + running.pace, order, running))
        if not ends:
            return
        clock, _, running = heapq.heappop(ends)
        spent, running.epoch = spent + 1, running.epoch + 1
        value, last = max(running.curve[: running.epoch]), running.epoch == task.epochs
        if value > best:
            best, truth = value, task.truth(running.run.params)
        yield Moment(spent, clock, truth)
        if engine.tell(running.run.key, running.epoch, value, last) and not last:
            order += 1
            heapq.heappush(ends, (clock + running.pace, order, running))
