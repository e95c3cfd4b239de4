"""Engines on the real task: W worker processes train, the engine decides after every epoch, and a clock runs.

The same promise as `simulation.simulate`, with real runs behind it. Every engine is driven in the same way, so that
what differs is what it proposes and whom it stops.
"""

import multiprocessing
import queue
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hearai.benchmarks.simulation import Engine, Run
from hearai.config.domains import Value
from hearai.config.study import Study
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime


@dataclass(frozen=True)
class Reached:
    """What a search of a real task has after an epoch."""

    epochs: int
    seconds: float
    best: float
    """The best value that a run has reported: its best epoch so far."""
    params: Mapping[str, Value]


class _Stopped(Exception):
    """The engine does not want more of a run."""


class _Asking(LocalRuntime):
    """Reports every epoch to the engine and waits for its word."""

    def __init__(self, folder: str, key: str, reports: Any, answers: Any):
        super().__init__("cpu", folder)
        self._key, self._reports, self._answers = key, reports, answers

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        self._reports.put((self._key, int(metrics["epoch"]), float(metrics["objective"])))
        if not self._answers.get():
            raise _Stopped


def _work(study: Study, orders: Any, reports: Any, answers: Any) -> None:
    """A worker process: runs until it is told None."""
    torch.set_num_threads(1)
    while run := orders.get():
        with tempfile.TemporaryDirectory(prefix="hearai-benchmark-") as folder:
            try:
                fit(study.config_of(run.params, run.seed), _Asking(folder, run.key, reports, answers))
            except _Stopped:
                continue


class Workers:
    """W processes that outlive the searches which they serve: importing torch takes longer than a trial's epoch."""

    def __init__(self, study: Study, count: int):
        context = multiprocessing.get_context("spawn")
        self._reports = context.Queue()
        self._lines = [(context.Queue(), context.Queue()) for _ in range(count)]
        self._epochs = study.max_epochs
        self._processes = [
            context.Process(target=_work, args=(study, orders, self._reports, answers), daemon=True)
            for orders, answers in self._lines
        ]
        for process in self._processes:
            process.start()

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.kill()

    def search(self, engine: Engine, epoch_budget: int) -> Iterator[Reached]:
        """Every epoch until the budget is spent; runs that are still training are then stopped."""
        started, spent, best, params = time.monotonic(), 0, -1.0, {}
        busy: dict[str, tuple[int, Run]] = {}
        while spent < epoch_budget or busy:
            idle = set(range(len(self._lines))) - {line for line, _ in busy.values()}
            while spent < epoch_budget and idle and (run := engine.ask()):
                busy[run.key] = (idle.pop(), run)
                self._lines[busy[run.key][0]][0].put(run)
            if not busy:
                return
            key, epoch, value = self._next_report()
            line, run = busy[key]
            spent, last = spent + 1, epoch == self._epochs
            if value > best:
                best, params = value, run.params
            if spent <= epoch_budget:
                yield Reached(spent, time.monotonic() - started, best, params)
            should_continue = engine.tell(key, epoch, value, last) and spent < epoch_budget
            self._lines[line][1].put(should_continue or last)
            if last or not should_continue:
                del busy[key]

    def values(self, params: Mapping[str, Value], seeds: Sequence[int]) -> list[float]:
        """The best epoch's value of whole runs with these seeds: what a config is worth."""
        return [max_of_run for _, max_of_run in sorted(self._all(params, seeds).items())]

    def _all(self, params: Mapping[str, Value], seeds: Sequence[int]) -> dict[int, float]:
        waiting, found = [Run(str(seed), params, seed) for seed in seeds], {}
        runs = _Each(waiting, found)
        for _ in self.search(runs, self._epochs * len(seeds)):
            pass
        return found

    def _next_report(self) -> tuple[str, int, float]:
        while True:
            try:
                return self._reports.get(timeout=10)
            except queue.Empty:
                if dead := [process.exitcode for process in self._processes if not process.is_alive()]:
                    raise RuntimeError(f"a worker of the benchmark died (exit code {dead[0]})") from None


class _Each:
    """An engine that runs a list of runs to their end."""

    def __init__(self, waiting: list[Run], found: dict[int, float]):
        self._waiting, self._found = waiting, found

    def ask(self) -> Run | None:
        return self._waiting.pop() if self._waiting else None

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        self._found[int(key)] = value
        return True
