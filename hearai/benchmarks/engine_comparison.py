"""The search engines by name, and their comparison on real training: the best config over the budget used."""

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from hearai.benchmarks.engines import HearaiEngine, OptunaEngine, RayEngine
from hearai.benchmarks.peers.peer_engine import PeerEngine, missing_peer
from hearai.benchmarks.simulation import Engine
from hearai.benchmarks.worker_pool import WorkerPool
from hearai.config.study import Study
from hearai.config.study_schema import Sampler
from hearai.errors import UserError
from hearai.search.storage.journal_backend import open_journal


@dataclass(frozen=True)
class EngineContext:
    """What an engine may use beside the study."""

    stack: ExitStack
    """Closes what the engine opens."""
    workers: int
    budget: int = 0
    """Of the whole search, in complete trainings."""
    peer_python: Path | None = None
    """The Python that has the engines of other projects."""


BuildEngine = Callable[[Study, EngineContext], Engine]
HEARAI, FREEZE_THAW, RANDOM, PEER = "hearai", "freeze-thaw", "random + ASHA", "SMAC3"
REFERENCE = "Ray, base first"
STOCK, HYPERBAND, MEDIAN = "Ray stock", "Optuna TPE + hyperband", "Optuna, median"


def _hearai(study: Study, context: EngineContext) -> HearaiEngine:
    folder = Path(context.stack.enter_context(tempfile.TemporaryDirectory(prefix="hearai-engine-")))
    return HearaiEngine(study, folder, context.workers, context.stack.enter_context(open_journal(folder)))


def _random(study: Study, context: EngineContext) -> HearaiEngine:
    sampler = study.settings.sampler.model_copy(update={"name": "random"})
    grace = max(1, round(RANDOM_GRACE * study.max_epochs))
    changes = {"name": "asha", "grace_epochs": grace, "reduction_factor": RANDOM_FACTOR}
    stopping = study.settings.early_stopping.model_copy(update=changes)
    return _hearai(_changed(study, sampler=sampler, early_stopping=stopping), context)


RANDOM_GRACE, RANDOM_FACTOR = 0.1, 3
"""Random search is at its best with more trials that are stopped earlier: grace as a share of the epochs."""


def _freeze_thaw(study: Study, context: EngineContext) -> HearaiEngine:
    return _hearai(_changed(study, sampler=Sampler(name="freeze_thaw", startup_trials=STARTUP_TRIALS)), context)


STARTUP_TRIALS = 5
"""Random points of freeze-thaw before its model is used."""


def _hyperband(study: Study, context: EngineContext) -> OptunaEngine:
    stopping = study.settings.early_stopping
    pruner = optuna.pruners.HyperbandPruner(
        min_resource=stopping.grace_epochs,
        max_resource=study.max_epochs,
        reduction_factor=stopping.reduction_factor,
    )
    return OptunaEngine(study, pruner)


def _smac(study: Study, context: EngineContext) -> PeerEngine:
    assert context.peer_python, "checked by `unavailable`"
    return PeerEngine(PEER, context.peer_python, study, context.workers, context.budget, context.stack)


ENGINES: dict[str, BuildEngine] = {
    REFERENCE: lambda study, context: RayEngine(study, base_first=True),
    STOCK: lambda study, context: RayEngine(study),
    RANDOM: _random,
    HYPERBAND: _hyperband,
    MEDIAN: lambda study, context: OptunaEngine(study),
    PEER: _smac,
    HEARAI: _hearai,
    FREEZE_THAW: _freeze_thaw,
}
"""{name: how to build it}. Early stopping is that of the study, except for `RANDOM` and engines with their own."""

TABLE_ENGINES = (REFERENCE, STOCK, RANDOM, HYPERBAND, PEER, HEARAI, FREEZE_THAW)
"""The engines compared on tables."""
REAL_ENGINES = (HEARAI, RANDOM, REFERENCE, MEDIAN)
"""The engines compared on real training, where a search takes minutes."""


def unavailable(engine: str, peer_python: Path | None) -> str | None:
    """Why an engine cannot run here, or None."""
    return missing_peer(engine, peer_python) if engine == PEER else None


@dataclass(frozen=True)
class Trace:
    """One search: the value of its best config after each trial-epoch."""

    engine: str
    seed: int
    values: Sequence[float]
    seconds: Sequence[float]
    final: float
    """Value of the last incumbent: the mean over new seeds."""

    def at(self, epochs: int) -> float:
        """The value after a number of trial-epochs."""
        return self.values[min(epochs, len(self.values)) - 1]

    def at_seconds(self, seconds: float) -> float:
        """The value after a number of seconds; 0 before the first epoch."""
        return next((v for v, s in zip(self.values[::-1], self.seconds[::-1], strict=True) if s <= seconds), 0.0)


def on_real_task(
    study: Study,
    log: Path,
    *,
    seeds: Sequence[int],
    epoch_budget: int,
    workers: int,
    engines: Sequence[str] = REAL_ENGINES,
) -> Iterator[Trace]:
    """One search per engine and seed, with the reported values. Searches in `log` (JSON lines) are not repeated."""
    finished = {(trace.engine, trace.seed): trace for trace in read_traces(log)}
    pool = WorkerPool(study, workers)
    try:
        for seed in seeds:  # all engines of a seed before the next seed: an interrupted benchmark is comparable
            for name in engines:
                if (name, seed) not in finished:
                    trace = _real_trace(name, with_seed(study, seed), pool, epoch_budget, workers)
                    with log.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(trace)) + "\n")
                    finished[name, seed] = trace
                yield finished[name, seed]
    finally:
        pool.close()


FRESH_SEEDS = (101, 102, 103)
"""Seeds with which the last incumbent is trained again; no search uses them."""


def _real_trace(name: str, study: Study, pool: WorkerPool, epoch_budget: int, workers: int) -> Trace:
    with ExitStack() as stack:
        incumbents = list(pool.search(ENGINES[name](study, EngineContext(stack, workers)), epoch_budget))
    final = statistics.fmean(pool.values(incumbents[-1].params, FRESH_SEEDS))
    values, seconds = [step.best for step in incumbents], [round(step.seconds, 2) for step in incumbents]
    return Trace(name, study.settings.seed, values, seconds, final)


def read_traces(log: Path) -> list[Trace]:
    """The searches in a log; an empty list if the file does not exist.

    Raises:
        UserError: a line is not a search.
    """
    if not log.exists():
        return []
    try:
        return [Trace(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError):
        raise UserError(
            f"{log}: contains a line that is not a search; delete the file or choose another --out"
        ) from None


def with_seed(study: Study, seed: int) -> Study:
    """The study with another seed of its sampler."""
    return _changed(study, seed=seed)


def _changed(study: Study, **settings: Any) -> Study:
    return replace(study, settings=study.settings.model_copy(update=settings))


@dataclass(frozen=True)
class EngineResult:
    """Medians of an engine over its searches."""

    engine: str
    at: Mapping[int, float]
    """{trial-epochs: median}"""
    quartiles: tuple[float, float]
    """First and third quartile at the end."""
    final: float
    """Median of `Trace.final`."""
    cost: float | None
    """Share of the budget at which the median reaches the final median of the reference; None = never."""
    seconds: float | None
    """The same in seconds, as a share of the time of the reference."""


def summarise(traces: Sequence[Trace], epoch_budget: int) -> list[EngineResult]:
    """One result per engine, in the order of the traces."""
    by_engine = _by_engine(traces)
    goal = _median(by_engine[REFERENCE], epoch_budget) if REFERENCE in by_engine else None
    end = statistics.median(trace.seconds[-1] for trace in by_engine.get(REFERENCE, traces))
    marks = [round(epoch_budget * share) for share in (0.25, 0.5, 0.75, 1)]
    results = []
    for engine, searches in by_engine.items():
        last = [trace.at(epoch_budget) for trace in searches]
        quartiles = statistics.quantiles(last, n=4, method="inclusive") if len(last) > 1 else [last[0]] * 3
        epochs = next((e for e in range(1, epoch_budget + 1) if goal and _median(searches, e) >= goal), None)
        seconds = next(
            (s for s in (end * i / 200 for i in range(1, 401)) if goal and _reached(searches, s, goal)), None
        )
        results.append(
            EngineResult(
                engine,
                {mark: _median(searches, mark) for mark in marks},
                (quartiles[0], quartiles[2]),
                statistics.median(trace.final for trace in searches),
                None if epochs is None else epochs / epoch_budget,
                None if seconds is None else seconds / end,
            )
        )
    return results


def _by_engine(traces: Sequence[Trace]) -> dict[str, list[Trace]]:
    by_engine: dict[str, list[Trace]] = {}
    for trace in traces:
        by_engine.setdefault(trace.engine, []).append(trace)
    return by_engine


def _median(traces: Sequence[Trace], epochs: int) -> float:
    return statistics.median(trace.at(epochs) for trace in traces)


def _reached(traces: Sequence[Trace], seconds: float, goal: float) -> bool:
    return statistics.median(trace.at_seconds(seconds) for trace in traces) >= goal


def plot(traces: Sequence[Trace], path: Path, title: str) -> None:
    """Saves a PNG with median and quartiles of every engine over trial-epochs and over seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    by_engine = _by_engine(traces)
    length = max(len(trace.values) for trace in traces)
    longest = max(trace.seconds[-1] for trace in traces)
    seconds = [longest * i / 300 for i in range(1, 301)]
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.5), sharey=True, layout="constrained")
    for engine, searches in by_engine.items():
        by_epochs = [[trace.at(epochs) for trace in searches] for epochs in range(1, length + 1)]
        _plot_band(axes[0], range(1, length + 1), by_epochs, label=engine)
        _plot_band(axes[1], seconds, [[trace.at_seconds(s) for trace in searches] for s in seconds], label=engine)
    bottom = min(_median(searches, max(1, length // 20)) for searches in by_engine.values())
    top = max(max(trace.values) for trace in traces)
    axes[0].set_ylim(bottom, top + 0.05 * (top - bottom))
    axes[0].set(xlabel="trial-epochs", ylabel="macro-F1 of the best config (median, quartiles)", title=title)
    axes[1].set(xlabel="seconds")
    axes[0].legend(loc="lower right")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _plot_band(axis: Any, xs: Sequence[float], columns: Sequence[Sequence[float]], label: str) -> None:
    """Median and quartiles of the values at each x."""
    columns = [sorted(column) for column in columns]
    (line,) = axis.plot(xs, [statistics.median(column) for column in columns], label=label)
    low, high = ([column[round(q * (len(column) - 1))] for column in columns] for q in (0.25, 0.75))
    axis.fill_between(xs, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
