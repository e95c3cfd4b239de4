"""Compares search engines: quality of the best config over the budget used, on the surrogate and on real training."""

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
from hearai.benchmarks.simulation import Engine, simulate
from hearai.benchmarks.surrogate import Surrogate
from hearai.benchmarks.worker_pool import WorkerPool
from hearai.config.study import Study
from hearai.errors import UserError
from hearai.search.storage.trial_store import open_journal

BuildEngine = Callable[[Study, int, ExitStack], Engine]
"""(study, number of workers, stack that closes what the engine opens) -> engine"""
HEARAI = "hearai"
REFERENCE = "Ray stock"


def _hearai(study: Study, workers: int, stack: ExitStack, **changes: Any) -> HearaiEngine:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hearai-engine-")))
    study = replace(study, settings=study.settings.model_copy(update=changes))
    return HearaiEngine(study, folder, workers, stack.enter_context(open_journal(folder)))


def _random(study: Study, workers: int, stack: ExitStack) -> HearaiEngine:
    return _hearai(study, workers, stack, sampler=study.settings.sampler.model_copy(update={"name": "random"}))


def _hyperband(study: Study, workers: int, stack: ExitStack) -> OptunaEngine:
    stopping = study.settings.early_stopping
    pruner = optuna.pruners.HyperbandPruner(
        min_resource=stopping.grace_epochs,
        max_resource=study.max_epochs,
        reduction_factor=stopping.reduction_factor,
    )
    return OptunaEngine(study, pruner)


ENGINES: dict[str, BuildEngine] = {
    HEARAI: _hearai,
    "random": _random,
    REFERENCE: lambda study, workers, stack: RayEngine(study),
    "Ray stock, base first": lambda study, workers, stack: RayEngine(study, base_first=True),
    "Optuna, median": lambda study, workers, stack: OptunaEngine(study),
    "Optuna, hyperband": _hyperband,
}
"""{name: how to build it}. random: hearai with the random sampler and the same early stopping."""

REAL_ENGINES = (HEARAI, "random", REFERENCE, "Optuna, median")
"""The engines compared on real training, where a search takes minutes."""


@dataclass(frozen=True)
class Trace:
    """One search: the value of its best config after each trial-epoch."""

    engine: str
    seed: int
    values: Sequence[float]
    seconds: Sequence[float]
    final: float
    """Value of the last incumbent: noise-free on the surrogate, the mean over new seeds on real training."""

    def at(self, epochs: int) -> float:
        """The value after a number of trial-epochs."""
        return self.values[min(epochs, len(self.values)) - 1]

    def at_seconds(self, seconds: float) -> float:
        """The value after a number of seconds; 0 before the first epoch."""
        return next((v for v, s in zip(self.values[::-1], self.seconds[::-1], strict=True) if s <= seconds), 0.0)


def on_surrogate(
    task: Surrogate, study: Study, *, seeds: Sequence[int], epoch_budget: int, workers: int, engines: Sequence[str] = ()
) -> Iterator[Trace]:
    """One search per engine and seed; values are the noise-free values of the incumbents."""
    for name in engines or ENGINES:
        for seed in seeds:
            with ExitStack() as stack:
                engine = ENGINES[name](_seeded(study, seed), workers, stack)
                incumbents = list(simulate(engine, task, workers=workers, epoch_budget=epoch_budget))
            values = [incumbent.true_value for incumbent in incumbents]
            yield Trace(name, seed, values, [incumbent.seconds for incumbent in incumbents], values[-1])


def on_real_task(
    study: Study,
    log: Path,
    *,
    seeds: Sequence[int],
    epoch_budget: int,
    workers: int,
    engines: Sequence[str] = REAL_ENGINES,
) -> Iterator[Trace]:
    """The same with real training and the reported values. Searches that are in `log` (JSON lines) are not repeated."""
    finished = {(trace.engine, trace.seed): trace for trace in read_traces(log)}
    pool = WorkerPool(study, workers)
    try:
        for seed in seeds:  # all engines of a seed before the next seed: an interrupted benchmark is comparable
            for name in engines:
                if (name, seed) not in finished:
                    trace = _real_trace(name, _seeded(study, seed), pool, epoch_budget, workers)
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
        incumbents = list(pool.search(ENGINES[name](study, workers, stack), epoch_budget))
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


def _seeded(study: Study, seed: int) -> Study:
    return replace(study, settings=study.settings.model_copy(update={"seed": seed}))


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
