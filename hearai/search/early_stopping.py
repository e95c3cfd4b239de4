"""Early stopping: asynchronous successive halving on the epoch, rebuilt from the journal.

Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, in its stopping form: a trial
that reaches a rung goes on only if it is among the best 1/reduction_factor of those that reached it before.
Ray's own keeps its rungs in memory (a continued search forgets them) and lets NaN live.
"""

import math
from collections.abc import Iterable

from hearai.study_file import EarlyStopping


class Asha:
    """The rungs: {epoch: values seen there}; larger is better."""

    def __init__(self, *, grace_epochs: int, reduction_factor: int, max_epochs: int):
        self.reduction_factor = reduction_factor
        self.rungs: dict[int, dict[int, float]] = {}
        epoch = grace_epochs
        while epoch < max_epochs:
            self.rungs[epoch] = {}
            epoch *= reduction_factor

    def goes_on(self, number: int, epoch: int, value: float) -> bool:
        """Records the trial's value at its rung, if `epoch` is one, and decides."""
        if epoch not in self.rungs:
            return True
        rung = self.rungs[epoch]
        rung[number] = value
        survivors = max(1, math.ceil(len(rung) / self.reduction_factor))
        return value >= sorted(rung.values(), reverse=True)[survivors - 1]

    def replay(self, history: Iterable[tuple[int, dict[int, float]]]) -> None:
        """Fills the rungs from earlier trials: (number, {epoch: value}), without epochs that ended in divergence."""
        for number, values in history:
            for epoch in self.rungs.keys() & values.keys():
                self.rungs[epoch][number] = values[epoch]


def build_asha(settings: EarlyStopping, max_epochs: int) -> Asha | None:
    """None where nothing is stopped early."""
    if settings.name == "none":
        return None
    return Asha(
        grace_epochs=settings.grace_epochs,
        reduction_factor=settings.reduction_factor,
        max_epochs=max_epochs,
    )
