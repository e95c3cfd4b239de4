"""The engine at scale: cost of a suggestion, memory, journal and checkpoints over thousands of simulated trials."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from ray.tune.experiment import Trial

from hearai.benchmarks.engines import HearaiEngine
from hearai.benchmarks.simulation import Run, simulate
from hearai.benchmarks.surrogate import Surrogate
from hearai.config.study import Study
from hearai.search.sampling.policies import build_policy
from hearai.search.sampling.samplers import build_finals_store, build_search_store, suggest_params
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.layout import JOURNAL, TRIALS, label_of
from hearai.search.storage.study_sync import StudySync
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.checkpoint_cleanup import CheckpointCleanup
from hearai.training.outputs.checkpoint import save_checkpoint
from hearai.training.outputs.layout import BEST, LAST

WINDOW = 100
"""Number of suggestions before a mark over which their cost is summarised."""
UNLIMITED_EPOCHS = 10**9


@dataclass(frozen=True)
class SuggestionCost:
    """Time per suggestion when the journal holds a number of trials."""

    trials: int
    median_ms: float
    p95_ms: float
    """95th percentile."""


@dataclass(frozen=True)
class SearchScaleResult:
    """Cost and footprint of a long search."""

    costs: Sequence[SuggestionCost]
    trials: int
    epochs: int
    driver_mb: float
    """Growth of the resident memory of this process over the search."""
    journal_mb: float
    most_with_checkpoints: int
    """Most trials that had checkpoints on disk at the same time; unneeded ones are deleted during the search."""
    with_checkpoints: int
    """Trials that have checkpoints on disk at the end."""
    continue_seconds: float
    """From opening the journal to the first new suggestion, including the rungs being rebuilt."""


class _TimedEngine:
    """An engine with timed suggestions and a limited number of trials.

    Each trial writes small checkpoints when it ends, for the cleanup to delete.
    """

    def __init__(self, engine: HearaiEngine, trials: int, folder: Path, cleanup: CheckpointCleanup):
        self._engine, self._trials, self._cleanup = engine, trials, cleanup
        self._folder = folder / TRIALS
        self.seconds: list[float] = []
        self.epochs = self.most_with_checkpoints = 0

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
            ended = Trial("scale", config=TrialSpec(number, str(self._folder), {}).to_dict(), stub=True)
            self._cleanup.on_trial_complete(0, [], ended)
            self.most_with_checkpoints = max(self.most_with_checkpoints, _count_with_checkpoints(self._folder))
        return should_continue


def _count_with_checkpoints(folder: Path) -> int:
    """Number of trials that have a checkpoint."""
    return sum(1 for _ in folder.glob(f"*/{BEST}"))


def measure_search_scale(
    task: Surrogate, study: Study, folder: Path, *, trials: int, in_flight: int
) -> SearchScaleResult:
    """Runs the whole engine (journal, searcher, scheduler) on the surrogate; its journal is written to `folder`."""
    before = psutil.Process().memory_info().rss
    with open_journal(folder) as storage:
        engine, finals = HearaiEngine(study, folder, in_flight, storage), build_finals_store(storage)
        keep = study.settings.finalists.count
        cleanup = CheckpointCleanup(StudySync(folder), engine.store, finals, keep=keep, slots=in_flight)
        timed = _TimedEngine(engine, trials, folder, cleanup)
        for _ in simulate(timed, task, workers=in_flight, epoch_budget=UNLIMITED_EPOCHS):
            pass
        cleanup.clean()
        memory = psutil.Process().memory_info().rss - before
    marks = sorted({mark for mark in (100, 1000, 2000, trials) if mark <= trials})
    return SearchScaleResult(
        [_cost(mark, timed.seconds[max(0, mark - WINDOW) : mark]) for mark in marks],
        trials,
        timed.epochs,
        memory / 1e6,
        os.path.getsize(folder / JOURNAL) / 1e6,
        timed.most_with_checkpoints,
        _count_with_checkpoints(folder / TRIALS),
        _seconds_to_continue(study, folder),
    )


def _cost(trials: int, seconds: Sequence[float]) -> SuggestionCost:
    quantiles = statistics.quantiles(seconds, n=20, method="inclusive")
    return SuggestionCost(trials, 1e3 * statistics.median(seconds), 1e3 * quantiles[-1])


def _seconds_to_continue(study: Study, folder: Path) -> float:
    started = time.perf_counter()
    with open_journal(folder) as storage:
        store = build_search_store(storage, study)
        build_policy(study, store, slots=1)
        store.propose(lambda trial: suggest_params(trial, study))
        return time.perf_counter() - started
