"""Runs a search engine on real training: worker processes train, the engine decides after every epoch.

The counterpart of `simulation.simulate` with real runs and wall time. All engines are driven in the same way, so that
they differ only in what they propose and which runs they stop.
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
from hearai.config.search_space.domains import Value
from hearai.config.study import Study
from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime


@dataclass(frozen=True)
class TrainedIncumbent:
    """The best config of a search on real training after a number of epochs."""

    epochs: int
    seconds: float
    best: float
    """The best value reported by any run."""
    params: Mapping[str, Value]


class _Stopped(Exception):
    """Raised inside a run that the engine has stopped."""


class _ReportingRuntime(LocalRuntime):
    """Reports every epoch to the engine and waits for its decision."""

    def __init__(self, folder: str, key: str, reports: Any, decisions: Any):
        super().__init__("cpu", folder)
        self._key, self._reports, self._decisions = key, reports, decisions

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        self._reports.put((self._key, int(metrics["epoch"]), float(metrics["objective"])))
        if not self._decisions.get():
            raise _Stopped


def _work(study: Study, runs: Any, reports: Any, decisions: Any) -> None:
    """Main function of a worker process: trains runs until it receives None. The other arguments are queues."""
    torch.set_num_threads(1)
    while run := runs.get():
        with tempfile.TemporaryDirectory(prefix="hearai-benchmark-") as folder:
            try:
                fit(study.config_of(run.params, run.seed), _ReportingRuntime(folder, run.key, reports, decisions))
            except _Stopped:
                continue


class WorkerPool:
    """Worker processes that are reused by several searches: importing torch takes longer than an epoch."""

    def __init__(self, study: Study, count: int):
        context = multiprocessing.get_context("spawn")
        self._reports = context.Queue()
        self._queues = [(context.Queue(), context.Queue()) for _ in range(count)]
        self._epochs = study.max_epochs
        self._processes = [
            context.Process(target=_work, args=(study, runs, self._reports, decisions), daemon=True)
            for runs, decisions in self._queues
        ]
        for process in self._processes:
            process.start()

    def close(self) -> None:
        """Kills the processes."""
        for process in self._processes:
            process.kill()

    def search(self, engine: Engine, epoch_budget: int) -> Iterator[TrainedIncumbent]:
        """Yields the incumbent after every epoch until the budget is used up; runs still training are then stopped."""
        started, spent, best = time.monotonic(), 0, -1.0
        params: Mapping[str, Value] = {}
        busy: dict[str, tuple[int, Run]] = {}
        while spent < epoch_budget or busy:
            idle = set(range(len(self._queues))) - {worker for worker, _ in busy.values()}
            while spent < epoch_budget and idle and (run := engine.ask()):
                busy[run.key] = (idle.pop(), run)
                self._queues[busy[run.key][0]][0].put(run)
            if not busy:
                return
            key, epoch, value = self._next_report()
            worker, run = busy[key]
            spent, last = spent + 1, epoch == self._epochs
            if value > best:
                best, params = value, run.params
            if spent <= epoch_budget:
                yield TrainedIncumbent(spent, time.monotonic() - started, best, params)
            should_continue = engine.tell(key, epoch, value, last) and spent < epoch_budget
            self._queues[worker][1].put(should_continue or last)
            if last or not should_continue:
                del busy[key]

    def values(self, params: Mapping[str, Value], seeds: Sequence[int]) -> list[float]:
        """The best epoch's value of a complete run with each seed, ordered by seed."""
        runs = _FixedRuns([Run(str(seed), params, seed) for seed in seeds])
        for _ in self.search(runs, self._epochs * len(seeds)):
            pass
        return [value for _, value in sorted(runs.values.items())]

    def _next_report(self) -> tuple[str, int, float]:
        while True:
            try:
                return self._reports.get(timeout=10)
            except queue.Empty:
                if dead := [process.exitcode for process in self._processes if not process.is_alive()]:
                    raise RuntimeError(f"a worker of the benchmark died (exit code {dead[0]})") from None


class _FixedRuns:
    """An engine that trains a list of runs, each to its end."""

    def __init__(self, runs: list[Run]):
        self._waiting = runs
        self.values: dict[int, float] = {}
        """{seed: best value so far}"""

    def ask(self) -> Run | None:
        return self._waiting.pop() if self._waiting else None

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        self.values[int(key)] = value
        return True
