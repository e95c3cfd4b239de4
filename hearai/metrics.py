"""The metrics of a trial: the objective, and the costs of a model. Names, directions and labels.

The objective is the mean of a score of heads (`SCORES`, by default macro-F1) over the selected heads. A study can have
costs as additional metrics (`metric: [objective, seconds_per_clip]`): the first metric is the primary one, by which
trials are stopped and the winner is selected; the others define a Pareto front.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hearai.errors import choices

OBJECTIVE = "objective"
SCORE, CHOSEN_SCORE = "val/macro_f1", "val/objective"
"""Of one epoch, on validation clips: macro-F1 over all heads; and the objective, where that is something else."""

MACRO_F1 = "macro_f1"
TOP = {f"top{k}{suffix}": k for suffix in ("", "_per_class") for k in (1, 5, 10)}
"""{score: k}: the share of clips whose class is among the k most probable; the mean over clips, or over classes."""
SCORES = {
    MACRO_F1: "macro-F1",
    **{name: f"top-{k}{' per class' if name.endswith('class') else ''}" for name, k in TOP.items()},
    "mrr": "MRR",
}
"""{score of a head, in [0, 1]: its name in reports}. An objective is the mean of one of them over heads."""

NOTABLE_GAP = 0.05
"""A larger difference between a validation score and a test score is remarked on."""

DIVERGED_LOSS = 1e9
"""Reported in place of a loss that is not finite: every reported value is finite."""


@dataclass(frozen=True)
class Metric:
    """One metric of a trial."""

    direction: str
    """"maximize" or "minimize"."""
    label: str
    """Its name in reports, with the unit of `format`."""
    column: str
    """A short form of the label, for column headers."""
    factor: float = 1.0
    """Converts a value to the unit of the label."""

    def format(self, value: float | None) -> str:
        """The value in the unit of the label; a dash for None."""
        if value is None:
            return "-"
        if self.direction == "maximize":
            return f"{value:.3f}"
        scaled = value * self.factor
        return f"{scaled:.0f}" if scaled >= 100 else f"{scaled:#.3g}"


METRICS = {
    OBJECTIVE: Metric("maximize", "macro-F1", "macro-F1"),
    "seconds_per_clip": Metric("minimize", "milliseconds per clip", "ms/clip", 1e3),
    "parameters": Metric("minimize", "million parameters", "M params", 1e-6),
    "size_mb": Metric("minimize", "size in MB", "MB"),
}


def metric_of(name: str, score: str = MACRO_F1) -> Metric:
    """A metric of a trial whose objective is the mean of this score."""
    return replace(METRICS[name], label=SCORES[score], column=SCORES[score]) if name == OBJECTIVE else METRICS[name]


COSTS = tuple(name for name in METRICS if name != OBJECTIVE)


def check_metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the metrics of a study unchanged.

    Raises:
        ValueError: lists every unknown name and duplicate, and whether the objective is not the first.
    """
    problems = [f"unknown {name!r}; {choices(name, METRICS)}" for name in names if name not in METRICS]
    problems += [f"{name} is given twice; give it once" for name in dict.fromkeys(names) if names.count(name) > 1]
    if not names or names[0] != OBJECTIVE:
        problems.append(
            f"got {', '.join(names) or 'nothing'}; give {OBJECTIVE} first: the first metric stops trials and selects "
            "the winner, and by cost alone the smallest model would win, however bad"
        )
    if problems:
        raise ValueError("\n".join(problems))
    return names


def pareto_front(values: Mapping[int, Sequence[float]], metrics: Sequence[str]) -> list[int]:
    """The trials that no other dominates (as good in every metric and better in one), sorted by the first metric.

    Args:
        values: {trial: its finite value of each of `metrics`}.
    """
    signs = [1.0 if METRICS[name].direction == "maximize" else -1.0 for name in metrics]
    gains = {trial: [sign * value for sign, value in zip(signs, row, strict=True)] for trial, row in values.items()}
    front = [one for one in gains if not any(_dominates(gains[other], gains[one]) for other in gains)]
    return sorted(front, key=lambda trial: ([-gain for gain in gains[trial]], trial))


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))


def objective_label(heads: Sequence[str], of: int, score: str = MACRO_F1) -> str:
    """`macro-F1` or the name of another score, with selected heads `macro-F1 over 3 of 8 heads`."""
    return f"{SCORES[score]} over {len(heads)} of {of} heads" if heads else SCORES[score]


def has_meaning(score: str, num_class: int) -> bool:
    """Whether predictions of a head with so many classes can differ in a score: top-k of k classes is always 1."""
    return num_class > TOP.get(score, 0)


def gap_remark(validation: float, test: float) -> str | None:
    """What a difference of more than NOTABLE_GAP between two scores in [0, 1] means; None if it is smaller."""
    gap = round(test - validation, 6)
    if abs(gap) <= NOTABLE_GAP:
        return None
    if gap > 0:
        return f"The test score is {gap:.3f} higher: these test clips are easier than the validation clips."
    return (
        f"The test score is {-gap:.3f} lower: epochs and configs are chosen by the validation clips, and these test "
        "clips may be harder; on new clips expect the test score."
    )
