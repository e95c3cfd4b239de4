"""Engine against engine: the best config over what it cost, on the surrogate and on the real task."""

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from hearai.benchmarks.engines import OptunaAlone, Ours, Stock
from hearai.benchmarks.real_workers import Workers
from hearai.benchmarks.simulation import Engine, simulate
from hearai.benchmarks.surrogate import Surrogate
from hearai.config.study import Study
from hearai.errors import UserError
from hearai.search.storage.trial_store import open_journal

Build = Callable[[Study, int, ExitStack], Engine]
OURS = "hearai"
REFERENCE = "Ray stock"


def _ours(study: Study, workers: int, stack: ExitStack, **changes: Any) -> Ours:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hearai-engine-")))
    study = replace(study, settings=study.settings.model_copy(update=changes))
    return Ours(study, folder, workers, stack.enter_context(open_journal(folder)))


def _random(study: Study, workers: int, stack: ExitStack) -> Ours:
    return _ours(study, workers, stack, sampler=study.settings.sampler.model_copy(update={"name": "random"}))


def _hyperband(study: Study, workers: int, stack: ExitStack) -> OptunaAlone:
    stopping = study.settings.early_stopping
    pruner = optuna.pruners.HyperbandPruner(
        min_resource=stopping.grace_epochs,
        max_resource=study.max_epochs,
        reduction_factor=stopping.reduction_factor,
    )
    return OptunaAlone(study, pruner)


ENGINES: dict[str, Build] = {
    OURS: _ours,
    "random": _random,
    REFERENCE: lambda study, workers, stack: Stock(study),
    "Ray stock, base first": lambda study, workers, stack: Stock(study, base_first=True),
    "Optuna, median": lambda study, workers, stack: OptunaAlone(study),
    "Optuna, hyperband": _hyperband,
}
"""{name: builds it}. random = ours with random points and the same early stopping."""

REAL = (OURS, "random", REFERENCE, "Optuna, median")
"""The engines of the real task, which takes minutes a run."""


@dataclass(frozen=True)
class Trace:
    """One search: what it had after each trial-epoch."""

    engine: str
    seed: int
    values: Sequence[float]
    seconds: Sequence[float]
    final: float
    """Of the config that it ends with: without noise on the surrogate, the mean over fresh seeds on the real task."""

    def at(self, epochs: int) -> float:
        """The value after so many trial-epochs."""
        return self.values[min(epochs, len(self.values)) - 1]

    def at_seconds(self, seconds: float) -> float:
        """The value after so many seconds; 0 before the first epoch."""
        return next((v for v, s in zip(self.values[::-1], self.seconds[::-1], strict=True) if s <= seconds), 0.0)


def on_surrogate(
    task: Surrogate, study: Study, *, seeds: Sequence[int], epoch_budget: int, workers: int, engines: Sequence[str] = ()
) -> Iterator[Trace]:
    """Each engine with each seed; values are what the config of the best report is worth, noise apart."""
    for name in engines or ENGINES:
        for seed in seeds:
            with ExitStack() as stack:
                engine = ENGINES[name](_seeded(study, seed), workers, stack)
                moments = list(simulate(engine, task, workers=workers, epoch_budget=epoch_budget))
            values = [moment.truth for moment in moments]
            yield Trace(name, seed, values, [moment.seconds for moment in moments], values[-1])


def on_real_task(
    study: Study, log: Path, *, seeds: Sequence[int], epoch_budget: int, workers: int, engines: Sequence[str] = REAL
) -> Iterator[Trace]:
    """The same with real training; values are those reported. What is in `log` (JSON lines) is not run again."""
    known = {(trace.engine, trace.seed): trace for trace in read_traces(log)}
    pool = Workers(study, workers)
    try:
        for seed in seeds:  # all engines of a seed, then the next: a broken-off benchmark compares like with like
            for name in engines:
                if (name, seed) not in known:
                    trace = _real_trace(name, _seeded(study, seed), pool, epoch_budget, workers)
                    with log.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(trace)) + "\n")
                    known[name, seed] = trace
                yield known[name, seed]
    finally:
        pool.close()


FRESH_SEEDS = (101, 102, 103)


def _real_trace(name: str, study: Study, pool: Workers, epoch_budget: int, workers: int) -> Trace:
    with ExitStack() as stack:
        reached = list(pool.search(ENGINES[name](study, workers, stack), epoch_budget))
    final = statistics.fmean(pool.values(reached[-1].params, FRESH_SEEDS))
    values, seconds = [step.best for step in reached], [round(step.seconds, 2) for step in reached]
    return Trace(name, study.settings.seed, values, seconds, final)


def read_traces(log: Path) -> list[Trace]:
    """The searches of a log; none if there is no such file.

    Raises:
        UserError: a line of it is none.
    """
    if not log.exists():
        return []
    try:
        return [Trace(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError):
        raise UserError(f"{log}: a line of it is no search; delete the file, or give another --out") from None


def _seeded(study: Study, seed: int) -> Study:
    return replace(study, settings=study.settings.model_copy(update={"seed": seed}))


@dataclass(frozen=True)
class EngineResult:
    """An engine over its seeds."""

    engine: str
    at: Mapping[int, float]
    """{trial-epochs: median}"""
    quartiles: tuple[float, float]
    """At the end."""
    final: float
    """Median of `Trace.final`."""
    cost: float | None
    """Share of the budget at which the median reaches the reference's last median; None = never."""
    seconds: float | None
    """The same in seconds, as a share of the reference's time."""


def summarise(traces: Sequence[Trace], epoch_budget: int) -> list[EngineResult]:
    """One row an engine, in the order in which they came."""
    by_engine: dict[str, list[Trace]] = {}
    for trace in traces:
        by_engine.setdefault(trace.engine, []).append(trace)
    goal = _median(by_engine[REFERENCE], epoch_budget) if REFERENCE in by_engine else None
    end = statistics.median(trace.seconds[-1] for trace in by_engine.get(REFERENCE, traces))
    marks = [round(epoch_budget * share) for share in (0.25, 0.5, 0.75, 1)]
    rows = []
    for engine, runs in by_engine.items():
        last = [trace.at(epoch_budget) for trace in runs]
        quartiles = statistics.quantiles(last, n=4, method="inclusive") if len(last) > 1 else [last[0]] * 3
        cost = next((e for e in range(1, epoch_budget + 1) if goal and _median(runs, e) >= goal), None)
        when = next((s for s in (end * i / 200 for i in range(1, 401)) if goal and _reached(runs, s, goal)), None)
        rows.append(
            EngineResult(
                engine,
                {mark: _median(runs, mark) for mark in marks},
                (quartiles[0], quartiles[2]),
                statistics.median(trace.final for trace in runs),
                None if cost is None else cost / epoch_budget,
                None if when is None else when / end,
            )
        )
    return rows


def _median(traces: Sequence[Trace], epochs: int) -> float:
    return statistics.median(trace.at(epochs) for trace in traces)


def _reached(traces: Sequence[Trace], seconds: float, goal: float) -> bool:
    return statistics.median(trace.at_seconds(seconds) for trace in traces) >= goal


def plot(traces: Sequence[Trace], path: Path, title: str) -> None:
    """Median and quartiles of every engine over trial-epochs, and over seconds, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    by_engine: dict[str, list[Trace]] = {}
    for trace in traces:
        by_engine.setdefault(trace.engine, []).append(trace)
    length = max(len(trace.values) for trace in traces)
    longest = max(trace.seconds[-1] for trace in traces)
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.5), sharey=True, layout="constrained")
    for engine, runs in by_engine.items():
        for axis, xs, value in (
            (axes[0], range(1, length + 1), Trace.at),
            (axes[1], [longest * i / 300 for i in range(1, 301)], Trace.at_seconds),
        ):
            columns = [sorted(value(trace, x) for trace in runs) for x in xs]
            middle = [statistics.median(column) for column in columns]
            (line,) = axis.plot(xs, middle, label=engine)
            low, high = ([c[round(q * (len(c) - 1))] for c in columns] for q in (0.25, 0.75))
            axis.fill_between(xs, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    floor = min(_median(runs, max(1, length // 20)) for runs in by_engine.values())
    top = max(max(trace.values) for trace in traces)
    axes[0].set_ylim(floor, top + 0.05 * (top - floor))
    axes[0].set(xlabel="trial-epochs", ylabel="macro-F1 of the config it has (median, quartiles)", title=title)
    axes[1].set(xlabel="seconds")
    axes[0].legend(loc="lower right")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
