"""Early stopping by name: decides after each epoch which trials continue, also from values read from the journal.

Ray's own schedulers keep their state in memory, so a continued search would lose it, and do not stop trials at NaN.
Values are objectives: the best epoch to date, larger is better.
"""

import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Protocol

from hearai.config.study_schema import EarlyStopping
from hearai.search.early_stopping.auto import Auto


class Stopper(Protocol):
    """Decides after every epoch of a trial whether it continues."""

    def should_continue(self, number: int, epoch: int, value: float) -> bool:
        """Stores the trial's value after an epoch (from 1), and decides."""

    def replay(self, history: Iterable[tuple[int, Mapping[int, float]]]) -> None:
        """Stores the values of earlier calls: (number, {epoch: value}), without epochs in which a trial diverged."""


class Asha:
    """Asynchronous successive halving, stopping variant: one trial in `reduction_factor` continues at each rung.

    Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020. A trial that reaches a rung
    continues if it is among the best of those that have reached it by then.
    """

    def __init__(self, *, grace_epochs: int, reduction_factor: int, max_epochs: int):
        self.reduction_factor = reduction_factor
        self.rungs: dict[int, dict[int, float]] = {}
        """{epoch: {trial: value}}"""
        epoch = grace_epochs
        while epoch < max_epochs:
            self.rungs[epoch] = {}
            epoch *= reduction_factor

    def should_continue(self, number: int, epoch: int, value: float) -> bool:
        if epoch not in self.rungs:
            return True
        rung = self.rungs[epoch]
        rung[number] = value
        survivors = max(1, math.ceil(len(rung) / self.reduction_factor))
        return value >= sorted(rung.values(), reverse=True)[survivors - 1]

    def replay(self, history: Iterable[tuple[int, Mapping[int, float]]]) -> None:
        for number, values in history:
            for epoch in self.rungs.keys() & values.keys():
                self.rungs[epoch][number] = values[epoch]


class Hyperband:
    """Several `Asha` brackets with later and later first rungs, for objectives whose first epochs are misleading.

    Li et al., "Hyperband", JMLR 2018; the brackets run asynchronously as in Li et al. 2020. A trial's bracket is drawn
    with its number as the seed, in proportion to the number of trials that Hyperband assigns to each bracket.
    """

    def __init__(self, *, grace_epochs: int, reduction_factor: int, max_epochs: int, brackets: int):
        starts = [grace_epochs * reduction_factor**bracket for bracket in range(brackets)]
        starts = [start for start in starts if start < max_epochs] or [grace_epochs]
        self.brackets = [
            Asha(grace_epochs=start, reduction_factor=reduction_factor, max_epochs=max_epochs) for start in starts
        ]
        last = len(starts) - 1
        trials = [math.ceil((last + 1) * reduction_factor**s / (s + 1)) for s in range(last, -1, -1)]
        self._bounds = [bound / sum(trials) for bound in accumulate(trials)]

    def bracket_of(self, number: int) -> Asha:
        """The bracket of a trial."""
        draw = random.Random(number).random()
        return self.brackets[next(i for i, bound in enumerate(self._bounds) if draw < bound or bound == 1)]

    def should_continue(self, number: int, epoch: int, value: float) -> bool:
        return self.bracket_of(number).should_continue(number, epoch, value)

    def replay(self, history: Iterable[tuple[int, Mapping[int, float]]]) -> None:
        for number, values in history:
            self.bracket_of(number).replay([(number, values)])


class Median:
    """A trial continues if its value is at least the median of the other trials' averages up to the same epoch.

    Golovin et al., "Google Vizier", KDD 2017, section 3.2.2. Needs `MIN_OTHERS` other trials at that epoch.
    """

    MIN_OTHERS = 3

    def __init__(self, *, grace_epochs: int):
        self.grace_epochs = grace_epochs
        self.curves: dict[int, dict[int, float]] = {}
        """{trial: {epoch: value}}"""

    def should_continue(self, number: int, epoch: int, value: float) -> bool:
        self.curves.setdefault(number, {})[epoch] = value
        others = [curve for other, curve in self.curves.items() if other != number and epoch in curve]
        if epoch < self.grace_epochs or len(others) < self.MIN_OTHERS:
            return True
        averages = [statistics.fmean(v for e, v in curve.items() if e <= epoch) for curve in others]
        return value >= statistics.median(averages)

    def replay(self, history: Iterable[tuple[int, Mapping[int, float]]]) -> None:
        for number, values in history:
            self.curves.setdefault(number, {}).update(values)


STOPPERS: dict[str, Callable[[EarlyStopping, int], Stopper | None]] = {
    "asha": lambda settings, max_epochs: Asha(
        grace_epochs=settings.grace_epochs, reduction_factor=settings.reduction_factor, max_epochs=max_epochs
    ),
    "hyperband": lambda settings, max_epochs: Hyperband(
        grace_epochs=settings.grace_epochs,
        reduction_factor=settings.reduction_factor,
        max_epochs=max_epochs,
        brackets=settings.brackets,
    ),
    "median": lambda settings, max_epochs: Median(grace_epochs=settings.grace_epochs),
    "auto": lambda settings, max_epochs: Auto(reduction_factor=settings.reduction_factor, max_epochs=max_epochs),
    "none": lambda settings, max_epochs: None,
}


def build_stopper(settings: EarlyStopping, max_epochs: int) -> Stopper | None:
    """The early stopping of the settings; None = none."""
    return STOPPERS[settings.name](settings, max_epochs)
