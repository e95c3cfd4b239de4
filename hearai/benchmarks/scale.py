"""A search of thousands of trials, dozens in flight: what a suggestion costs, and what it leaves behind."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from hearai.benchmarks.engines import Ours
from hearai.benchmarks.simulation import Run, simulate
from hearai.benchmarks.surrogate import Surrogate
from hearai.search.early_stopping import build_stopper
from hearai.search.journal import open_journal
from hearai.search.ledgers import build_search_ledger
from hearai.search.samplers import suggest
from hearai.study import Study

WINDOW = 100
"""Suggestions up to a mark whose cost is summarised."""
ENDLESS = 10**9


@dataclass(frozen=True)
class Cost:
    """Of the suggestions up to a number of trials."""

    trials: int
    median_ms: float
    p95_ms: float
    """95th percentile."""


@dataclass(frozen=True)
class Scale:
    """What a long search came to."""

    costs: Sequence[Cost]
    trials: int
    epochs: int
    driver_mb: float
    """Resident memory of this process at the end, less what it had before the first trial."""
    journal_mb: float
    continue_seconds: float
    """From the journal on disk to the first new suggestion, rungs rebuilt."""


class _Timed:
    """An engine whose suggestions are timed, and that has no more than a number of them."""

    def __init__(self, engine: Ours, trials: int):
        self._engine, self._trials = engine, trials
        self.seconds: list[float] = []
        self.epochs = 0

    def ask(self) -> Run | None:
        if len(self.seconds) >= self._trials:
            return None
        started = time.perf_counter()
        run = self._engine.ask()
        self.seconds.append(time.perf_counter() - started)
        return run

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        self.epochs += 1
        return self._engine.tell(key, epoch, value, last)


def measure_scale(task: Surrogate, study: Study, folder: Path, *, trials: int, in_flight: int) -> Scale:
    """Runs the whole engine (journal, searcher, scheduler) on recorded curves; `folder` gets its journal."""
    before = psutil.Process().memory_info().rss
    with open_journal(folder) as storage:
        timed = _Timed(Ours(study, folder, in_flight, storage), trials)
        for _ in simulate(timed, task, workers=in_flight, epoch_budget=ENDLESS):
            pass
        memory = psutil.Process().memory_info().rss - before
    marks = sorted({mark for mark in (100, 1000, 2000, trials) if mark <= trials})
    return Scale(
        [_cost(mark, timed.seconds[max(0, mark - WINDOW) : mark]) for mark in marks],
        trials,
        timed.epochs,
        memory / 1e6,
        os.path.getsize(folder / "journal.log") / 1e6,
        _time_to_continue(study, folder),
    )


def _cost(trials: int, seconds: Sequence[float]) -> Cost:
    quantiles = statistics.quantiles(seconds, n=20, method="inclusive")
    return Cost(trials, 1e3 * statistics.median(seconds), 1e3 * quantiles[-1])


def _time_to_continue(study: Study, folder: Path) -> float:
    started = time.perf_counter()
    with open_journal(folder) as storage:
        ledger = build_search_ledger(storage, study)
        stopper = build_stopper(study.settings.early_stopping, study.max_epochs)
        stopper.replay((trial.number, trial.intermediate_values) for trial in ledger.trials())
        ledger.propose(lambda trial: suggest(trial, study))
        return time.perf_counter() - started


def with_sampler(study: Study, name: str) -> Study:
    """The study with another sampler."""
    sampler = study.settings.sampler.model_copy(update={"name": name})
    return replace(study, settings=study.settings.model_copy(update={"sampler": sampler}))
