"""What a comparison of engines on tables leaves: a text table, a JSON file, and a figure of regret curves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hearai.benchmarks.engine_comparison import REFERENCE
from hearai.benchmarks.tables.comparison import EngineSummary, budget_curves, clock_curves, marks_of
from hearai.benchmarks.tables.searches import BY_MODEL, Result
from hearai.files import atomic_write_text

PALE = 0.15


def regret_table(summaries: Sequence[EngineSummary], *, title: str) -> str:
    """One line per engine, at most 80 columns wide."""
    marks = list(summaries[0].regrets)
    heads = "".join(f"{mark:>6g}" for mark in marks)
    lines = [
        title,
        "mean regret: 0 = best known, 1 = median random config",
        f"{'trainings':<22}{heads}{'rank':>5}{'cost':>6}{'task':>6}{'clock':>6}{'p':>5}",
    ]
    for row in summaries:
        values = "".join(f"{row.regrets[mark]:>6.3f}" for mark in marks)
        costs = "".join(f"{_number(cost):>6}" for cost in (row.mean_cost, row.median_cost, row.clock_cost))
        lines.append(f"{row.engine:<22}{values}{row.rank:>5.1f}{costs}{_number(row.p):>5}")
    if any(row.engine.endswith(BY_MODEL) for row in summaries):
        lines.append(f"{BY_MODEL[2:]}: of the config that the engine would choose itself, not of the best report")
    return "\n".join(
        [
            *lines,
            f"cost: share of the budget to reach the final mean of {REFERENCE};",
            "task: the same per task (median); clock: by time; p: Wilcoxon over the tasks",
        ]
    )


def task_table(summaries: Sequence[EngineSummary]) -> str:
    """The final regret of each engine on each task, engines as columns in the order of the first table."""
    width = min(42, max(len(task) for task in summaries[0].finals)) + 1
    lines = [f"{'final regret':<{width}}" + "".join(f"{f'({i})':>7}" for i in range(1, len(summaries) + 1))]
    for task in summaries[0].finals:
        lines.append(f"{task[: width - 1]:<{width}}" + "".join(f"{row.finals[task]:>7.3f}" for row in summaries))
    return "\n".join([*lines, ", ".join(f"({i}) {row.engine}" for i, row in enumerate(summaries, start=1))])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value >= 0.005 else "<.01"


def save_json(
    path: Path, summaries: Sequence[EngineSummary], results: Sequence[Result], setting: Mapping[str, Any]
) -> None:
    """Saves the setting, the summaries and the mean regret curves, for other programs."""
    curves = budget_curves(results, setting["budget"])
    content = {
        "setting": dict(setting),
        "reference": REFERENCE,
        "engines": [asdict(summary) for summary in summaries],
        "curves": {
            engine: {task: [round(r, 5) for r in curve] for task, curve in c.items()} for engine, c in curves.items()
        },
    }
    atomic_write_text(path, json.dumps(content, indent=1) + "\n")


def plot_regrets(path: Path, summaries: Sequence[EngineSummary], results: Sequence[Result], title: str) -> None:
    """Saves a PNG: the mean regret of every engine over the budget and over time, each task's curve behind it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    budget = max(marks_of(results[0].search.budget))
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.5), sharey=True, layout="constrained")
    for axis, curves, scale in (
        (axes[0], budget_curves(results, budget), budget),
        (axes[1], clock_curves(results), 1.0),
    ):
        for summary in summaries:
            by_task = list(curves[summary.engine].values())
            steps = len(by_task[0])
            xs = [scale * step / steps for step in range(1, steps + 1)]
            mean = [sum(values) / len(values) for values in zip(*by_task, strict=True)]
            (line,) = axis.plot(xs, mean, label=summary.engine)
            if len(summaries) <= 2:  # more would hide each other
                for task in by_task:
                    axis.plot(xs, task, color=line.get_color(), alpha=PALE)
    axes[0].set_yscale("log")
    axes[0].set(xlabel="complete trainings", ylabel="regret (mean over tasks and seeds)", title=title)
    axes[1].set(xlabel=f"time, as a share of that of {REFERENCE}")
    axes[0].legend(loc="upper right", fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
