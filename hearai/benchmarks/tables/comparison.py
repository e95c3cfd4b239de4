"""Compares engines by their regrets: means over the budget, ranks, cost of reaching the reference's final value."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hearai.benchmarks.engine_comparison import REFERENCE
from hearai.benchmarks.tables.searches import Result

STEPS = 400
"""Points of the budget, and of the time, at which curves are compared."""
SHARES = (0.2, 0.4, 0.6, 1.0)
TRAININGS = (12.5, 25.0)
"""Where the mean regret is read off: shares of the budget, and complete trainings where the budget has so many."""


@dataclass(frozen=True)
class EngineSummary:
    """One engine over all its tasks and seeds. Costs are shares of what the reference took; None = never reached."""

    engine: str
    regrets: Mapping[float, float]
    """{complete trainings: mean over the tasks of the mean over the seeds}"""
    rank: float
    """Mean over the tasks of the rank at the end, by the mean over the seeds; 1 = best."""
    mean_cost: float | None
    """Budget at which the mean curve over all tasks reaches the reference's final value."""
    median_cost: float | None
    """The same for each task by its own curve; the median."""
    clock_cost: float | None
    """As `mean_cost`, by the virtual clock, each task's time as a share of the reference's duration."""
    better_tasks: int
    """Tasks on which the final regret is below the reference's."""
    p: float | None
    """Wilcoxon's signed-rank test against the reference, two-sided, over the tasks' final regrets."""
    finals: Mapping[str, float]
    """{task: mean final regret}"""


Curves = Mapping[str, Mapping[str, Sequence[float]]]
"""{engine: {task: mean regret over the seeds at each step}}"""


def marks_of(budget: float) -> list[float]:
    """The complete trainings at which regrets are given."""
    return sorted({round(share * budget, 6) for share in SHARES} | {mark for mark in TRAININGS if mark <= budget})


def budget_curves(results: Sequence[Result], budget: float) -> Curves:
    """Regrets over the budget."""
    return _curves(results, lambda result, share: result.at(share * budget))


def clock_curves(results: Sequence[Result]) -> Curves:
    """Regrets over the time that the reference's searches of the task took."""
    by_task: dict[str, list[float]] = {}
    has_reference = any(result.search.engine == REFERENCE for result in results)
    for result in results:
        if not has_reference or result.search.engine == REFERENCE:
            by_task.setdefault(result.search.task, []).append(result.seconds)
    duration = {task: statistics.fmean(seconds) for task, seconds in by_task.items()}
    return _curves(results, lambda result, share: result.at_seconds(share * duration[result.search.task]))


def _curves(results: Sequence[Result], regret_at: Callable[[Result, float], float]) -> Curves:
    groups: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        groups.setdefault(result.search.engine, {}).setdefault(result.search.task, []).append(result)
    return {
        engine: {
            task: [statistics.fmean(regret_at(r, step / STEPS) for r in seeds) for step in range(1, STEPS + 1)]
            for task, seeds in tasks.items()
        }
        for engine, tasks in groups.items()
    }


def summarise_regrets(results: Sequence[Result], budget: float) -> list[EngineSummary]:
    """One summary per engine, the best at the end first.

    Every engine must have been run on the same tasks and seeds.
    """
    spent, timed = budget_curves(results, budget), clock_curves(results)
    reference, tasks = spent.get(REFERENCE), list(next(iter(spent.values())))
    goal = None if reference is None else _mean_curve(reference)[-1]
    finals = {engine: {task: curves[task][-1] for task in tasks} for engine, curves in spent.items()}
    summaries = []
    for engine, curves in spent.items():
        regrets = {
            mark: statistics.fmean(r for task in tasks for r in _at(results, engine, task, mark))
            for mark in marks_of(budget)
        }
        costs = [reached(curves[task], finals[REFERENCE][task]) for task in tasks] if reference else []
        summaries.append(
            EngineSummary(
                engine,
                regrets,
                statistics.fmean(_rank(finals, engine, task) for task in tasks),
                reached(_mean_curve(curves), goal),
                _median(costs),
                reached(_mean_curve(timed[engine]), goal),
                sum(finals[engine][task] < finals[REFERENCE][task] for task in tasks) if reference else 0,
                None if reference is None else wilcoxon_p(finals[engine], finals[REFERENCE]),
                finals[engine],
            )
        )
    return sorted(summaries, key=lambda summary: summary.regrets[max(summary.regrets)])


def _at(results: Sequence[Result], engine: str, task: str, mark: float) -> list[float]:
    return [r.at(mark) for r in results if (r.search.engine, r.search.task) == (engine, task)]


def _mean_curve(by_task: Mapping[str, Sequence[float]]) -> list[float]:
    return [statistics.fmean(values) for values in zip(*by_task.values(), strict=True)]


def reached(curve: Sequence[float], goal: float | None) -> float | None:
    """The first share of the budget (or time) at which a curve is at most `goal`; None = never."""
    if goal is None:
        return None
    step = next((step for step, regret in enumerate(curve, start=1) if regret <= goal + 1e-9), None)
    return None if step is None else step / len(curve)


def _median(costs: Sequence[float | None]) -> float | None:
    """The median of costs, None being larger than every other."""
    if not costs:
        return None
    middle = statistics.median(float("inf") if cost is None else cost for cost in costs)
    return None if middle == float("inf") else middle


def _rank(finals: Mapping[str, Mapping[str, float]], engine: str, task: str) -> float:
    """From 1; equal values share the mean of their ranks."""
    own = finals[engine][task]
    others = [values[task] for name, values in finals.items() if name != engine]
    return 1 + sum(other < own for other in others) + sum(other == own for other in others) / 2


def wilcoxon_p(ours: Mapping[str, float], theirs: Mapping[str, float]) -> float | None:
    """The p-value over the tasks; None for fewer than two tasks, 1 if all are equal."""
    from scipy.stats import wilcoxon

    differences = [ours[task] - theirs[task] for task in ours]
    if len(differences) < 2:
        return None
    return 1.0 if not any(differences) else float(wilcoxon(differences).pvalue)
