"""A search of thousands of trials, dozens in flight: what a suggestion costs, and what it leaves behind."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from ray.tune.experiment import Trial

from hearai.benchmarks.engines import Ours
from hearai.benchmarks.simulation import Run, simulate
from hearai.benchmarks.surrogate import Surrogate
from hearai.config.study import Study
from hearai.search.early_stopping import build_stopper
from hearai.search.sampling.samplers import build_finals_store, build_search_store, suggest
from hearai.search.storage.layout import TRIALS, label_of
from hearai.search.storage.study_sync import StudySync
from hearai.search.storage.trial_store import open_journal
from hearai.search.tune.checkpoint_cleanup import CheckpointCleanup
from hearai.training.outputs.checkpoint import save_checkpoint
from hearai.training.outputs.layout import BEST, LAST

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
    held: int
    """Trials that had checkpoints on disk at once, at most; those of losers are swept."""
    left: int
    """Trials that have them at the end."""
    continue_seconds: float
    """From the journal on disk to the first new suggestion, rungs rebuilt."""


class _Timed:
    """An engine whose suggestions are timed, and that has no more than a number of them.

    Each trial leaves small checkpoints when it ends, for the sweeper to find.
    """

    def __init__(self, engine: Ours, trials: int, folder: Path, cleanup: CheckpointCleanup):
        self._engine, self._trials, self._sweeper = engine, trials, cleanup
        self._folder = folder / TRIALS
        self.seconds: list[float] = []
        self.epochs = self.held = 0

    def ask(self) -> Run | None:
        if len(self.seconds) >= self._trials:
            return None
        started = time.perf_counter()
        run = self._engine.ask()
        self.seconds.append(time.perf_counter() - started)
        return run

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        self.epochs += 1
        number = self._engine.number_of(key)
        should_continue = self._engine.tell(key, epoch, value, last)
        if last or not should_continue:
            for name in (LAST, BEST):
                save_checkpoint(self._folder / label_of(number, {}) / name, {"epoch": epoch})
            ended = Trial("scale", config={"kind": "search", "number": number}, stub=True)
            self._sweeper.on_trial_complete(0, [], ended)
            self.held = max(self.held, held(self._folder))
        return should_continue


def held(folder: Path) -> int:
    """Trials that have a checkpoint."""
    return sum(1 for _ in folder.glob(f"*/{BEST}"))


def measure_scale(task: Surrogate, study: Study, folder: Path, *, trials: int, in_flight: int) -> Scale:
    """Runs the whole engine (journal, searcher, scheduler) on recorded curves; `folder` gets its journal."""
    before = psutil.Process().memory_info().rss
    with open_journal(folder) as storage:
        engine, finals = Ours(study, folder, in_flight, storage), build_finals_store(storage)
        keep = study.settings.finalists.count
        cleanup = CheckpointCleanup(StudySync(folder), engine.store, finals, keep=keep, slots=in_flight)
        timed = _Timed(engine, trials, folder, cleanup)
        for _ in simulate(timed, task, workers=in_flight, epoch_budget=ENDLESS):
            pass
        cleanup.clean()
        memory = psutil.Process().memory_info().rss - before
    marks = sorted({mark for mark in (100, 1000, 2000, trials) if mark <= trials})
    return Scale(
        [_cost(mark, timed.seconds[max(0, mark - WINDOW) : mark]) for mark in marks],
        trials,
        timed.epochs,
        memory / 1e6,
        os.path.getsize(folder / "journal.log") / 1e6,
        timed.held,
        held(folder / TRIALS),
        _time_to_continue(study, folder),
    )


def _cost(trials: int, seconds: Sequence[float]) -> Cost:
    quantiles = statistics.quantiles(seconds, n=20, method="inclusive")
    return Cost(trials, 1e3 * statistics.median(seconds), 1e3 * quantiles[-1])


def _time_to_continue(study: Study, folder: Path) -> float:
    started = time.perf_counter()
    with open_journal(folder) as storage:
        store = build_search_store(storage, study)
        stopper = build_stopper(study.settings.early_stopping, study.max_epochs)
        stopper.replay((trial.number, trial.intermediate_values) for trial in store.trials())
        store.propose(lambda trial: suggest(trial, study))
        return time.perf_counter() - started
