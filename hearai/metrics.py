"""What trials are judged by: the objective, and what a model costs. Names, directions, and words for people.

The objective is the mean macro-F1 over the heads that are searched for. A study may ask for costs beside it
(`metric: [objective, seconds_per_clip]`): its first metric is the primary one, by which trials are stopped and
the winner is chosen; the others make a Pareto front of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hearai.errors import choices

OBJECTIVE = "objective"
SCORE, CHOSEN_SCORE = "val/macro_f1", "val/objective"
"""Validation score of one epoch: over all heads, and over the heads of `objective_heads` (where any are named)."""


@dataclass(frozen=True)
class Metric:
    """One figure of a trial."""

    direction: str
    """"maximize" or "minimize"."""
    words: str
    """What it is called where people read it, with its unit there."""
    column: str
    """The same in few characters."""
    factor: float = 1.0
    """What a value is multiplied by to be shown."""

    def shown(self, value: float | None) -> str:
        """The value where people read it; a dash for nothing."""
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
COSTS = tuple(name for name in METRICS if name != OBJECTIVE)


def check_metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics of a study as they are.

    Raises:
        ValueError: an unknown name, a name given twice, or the objective is not the first; all of it at once.
    """
    wrong = [f"unknown {name!r}; {choices(name, METRICS)}" for name in names if name not in METRICS]
    wrong += [f"{name} is given twice; once is enough" for name in dict.fromkeys(names) if names.count(name) > 1]
    if not names or names[0] != OBJECTIVE:
        wrong.append(
            f"got {', '.join(names) or 'nothing'}; give {OBJECTIVE} first: the first one stops trials and chooses the "
            "winner, and by its cost alone the smallest model would win, however bad"
        )
    if wrong:
        raise ValueError("\n".join(wrong))
    return names


def pareto_front(values: Mapping[int, Sequence[float]], metrics: Sequence[str]) -> list[int]:
    """The trials that no other one dominates: as good in every metric, and better in one. Best first metric first.

    values: {trial: a value of each of `metrics`}, finite.
    """
    signs = [1.0 if METRICS[name].direction == "maximize" else -1.0 for name in metrics]
    gains = {trial: [sign * value for sign, value in zip(signs, row, strict=True)] for trial, row in values.items()}
    front = [one for one in gains if not any(_dominates(gains[other], gains[one]) for other in gains)]
    return sorted(front, key=lambda trial: ([-gain for gain in gains[trial]], trial))


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))


def objective_words(heads: Sequence[str], of: int) -> str:
    """`macro-F1`, or with named heads `macro-F1 over 3 of 8 heads`: the mean over them."""
    return f"macro-F1 over {len(heads)} of {of} heads" if heads else "macro-F1"
