"""Simulated searches on tables: each in a worker process, and its result in a log that an interrupted run continues."""

import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hearai.benchmarks.engine_comparison import ENGINES, EngineContext, with_seed
from hearai.benchmarks.simulation import Engine, Recommends, simulate
from hearai.benchmarks.tables.tasks import TableTask, load_task
from hearai.errors import UserError


@dataclass(frozen=True)
class Search:
    """One search: what is searched, by which engine, with what. Equal searches have equal results."""

    table: str
    task: str
    engine: str
    seed: int
    workers: int
    budget: int
    """In complete trainings."""
    noise: float
    """Standard deviation of a value between seeds, as a share of a regret of 1."""


@dataclass(frozen=True)
class Result:
    """The regret of a search's best config over its budget."""

    search: Search
    steps: Sequence[tuple[float, float, float]]
    """(trainings, seconds, regret of the best config from then on), whenever another config became the best."""
    seconds: float
    """Of the whole search, on the virtual clock."""
    choices: Sequence[tuple[float, float, float]] | None = None
    """As `steps`, of the config that the engine itself would choose after each training; None: the one with the best
    report."""

    def at(self, trainings: float) -> float:
        """The regret after a part of the budget; before the first report that of the first config."""
        return _last(((spent, regret) for spent, _, regret in self.steps), trainings)

    def at_seconds(self, seconds: float) -> float:
        """The regret after a time."""
        return _last(((time, regret) for _, time, regret in self.steps), seconds)


BY_MODEL = ", by model"
"""After the name of an engine: judged by the config that it would choose itself, not the one with the best report."""


def with_choices(results: Sequence[Result]) -> list[Result]:
    """All results, and those of engines with a choice of their own once more, by that choice."""
    chosen = [
        replace(result, search=replace(result.search, engine=result.search.engine + BY_MODEL), steps=result.choices)
        for result in results
        if result.choices
    ]
    return [*results, *chosen]


def _last(steps: Iterator[tuple[float, float]], limit: float) -> float:
    _, regret = next(steps)
    for position, later in steps:
        if position > limit:
            break
        regret = later
    return regret


def run_search(search: Search, peer_python: Path | None = None) -> Result:
    """Runs one search in this process."""
    task = load_task(search.table, search.task, search.noise)
    epochs = task.study.max_epochs
    steps: list[tuple[float, float, float]] = []
    choices: list[tuple[float, float, float]] = []
    seconds = 0.0
    with ExitStack() as stack:
        context = EngineContext(stack, search.workers, search.budget, peer_python)
        engine = ENGINES[search.engine](with_seed(task.study, search.seed), context)
        for state in simulate(engine, task.task, workers=search.workers, epoch_budget=search.budget * epochs):
            seconds, regret = state.seconds, round(task.scale.regret(state.true_value), 6)
            if not steps or regret != steps[-1][2]:
                steps.append((round(state.epochs / epochs, 4), round(seconds, 2), regret))
            if state.epochs % epochs == 0 and (chosen := _choice(engine, task)) is not None:
                choices.append((round(state.epochs / epochs, 4), round(seconds, 2), chosen))
    return Result(search, steps, round(seconds, 2), choices or None)


def _choice(engine: Engine, task: TableTask) -> float | None:
    """The regret of the config that an engine would choose itself."""
    params = engine.recommended() if isinstance(engine, Recommends) else None
    return None if params is None else round(task.scale.regret(task.task.true_value(params)), 6)


def run_searches(
    searches: Sequence[Search], log: Path, *, processes: int, peer_python: Path | None = None
) -> Iterator[Result]:
    """The results of all searches as they end; those in the log (JSON lines) are not repeated.

    Raises:
        UserError: the log cannot be read.
    """
    finished = {result.search: result for result in read_results(log)}
    yield from (finished[search] for search in searches if search in finished)
    missing = [search for search in searches if search not in finished]
    if not missing:
        return
    context = multiprocessing.get_context("spawn")  # a forked copy of Ray's and torch's threads would hang
    with ProcessPoolExecutor(min(processes, len(missing)), context, _use_one_thread) as pool, log.open("a") as file:
        pending = [pool.submit(run_search, search, peer_python) for search in missing]
        try:
            for future in as_completed(pending):
                file.write(json.dumps(asdict(future.result())) + "\n")
                file.flush()
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _use_one_thread() -> None:
    """In a new worker process: there is one for each core."""
    import logging
    import warnings

    import optuna
    import torch

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("hearai").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="optuna")


def read_results(log: Path) -> list[Result]:
    """The results in a log; an empty list if it does not exist. A last line that a kill has torn is removed.

    Raises:
        UserError: a line is not a result.
    """
    if not log.exists():
        return []
    text = log.read_text(encoding="utf-8", errors="replace")  # such a line is refused below
    if whole := text.rpartition("\n")[0]:
        whole += "\n"
    if whole != text:
        log.write_text(whole, encoding="utf-8")
    results = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            raw = json.loads(line)
            search, steps, seconds = Search(**raw["search"]), _steps(raw["steps"]), float(raw["seconds"])
            results.append(Result(search, steps, seconds, _steps(raw["choices"]) if raw.get("choices") else None))
        except (ValueError, TypeError, KeyError):
            raise UserError(
                f"{log}: line {number} is not the result of a search; delete the file or choose another --out"
            ) from None
    return results


def _steps(raw: list[list[float]]) -> list[tuple[float, float, float]]:
    return [(float(spent), float(time), float(regret)) for spent, time, regret in raw]
