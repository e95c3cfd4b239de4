"""Early stopping that needs no expert: successive halving whose first rung is decided from the search's own curves."""

import bisect
import math
from collections.abc import Iterable, Mapping
from itertools import takewhile

GRID_FACTOR = 1.5
"""Between two candidates for the first rung."""
MIN_COMPLETE = 5
"""Complete trials before the first rung is decided from curves."""
CAUTIOUS_SHARE = 0.3
"""Share of the epochs before the first rung until then; at 0.3 of demo trainings the ranks of trials still change."""


def candidate_rungs(max_epochs: int) -> list[int]:
    """Epochs at which early stopping may begin, ascending: a geometric grid of whole epochs below the last one."""
    steps = range(1, math.ceil(math.log(max_epochs, GRID_FACTOR)) + 1) if max_epochs > 1 else range(0)
    return sorted({max(1, round(max_epochs / GRID_FACTOR**step)) for step in steps} - {max_epochs})


class Auto:
    """`Asha` that begins at the earliest rung from which on the best trials would have survived.

    The best trials are the top 1 / `reduction_factor` of the complete ones. They would have survived at a candidate
    rung if each is among the best 1 / `reduction_factor` of all trials whose value at that epoch is known. They must
    survive at every later candidate, too: a single early epoch at which they do is often chance. If they do at none,
    the latest candidate is used. With fewer than `MIN_COMPLETE` complete trials stopping begins after `CAUTIOUS_SHARE`
    of the epochs.

    Every decision is a function of the curves reported so far, whatever their order, so that a search continued from
    its journal decides as an uninterrupted one.
    """

    def __init__(self, *, reduction_factor: int, max_epochs: int):
        self.reduction_factor, self.max_epochs = reduction_factor, max_epochs
        self._candidates = candidate_rungs(max_epochs)
        self._cautious = max(1, math.ceil(CAUTIOUS_SHARE * max_epochs))
        self._curves: dict[int, dict[int, float]] = {}
        """{trial: {epoch: value}}"""
        self._known: dict[int, list[float]] = {}
        """{epoch: the values of all trials, ascending}"""
        self._complete: list[tuple[float, int]] = []
        """(final value, trial) of complete trials, ascending."""
        self._weakest: dict[int, float] = {}
        """{candidate: the lowest value of the best trials at that epoch}"""

    @property
    def first_rung(self) -> int:
        """The epoch (from 1) after which trials are stopped first; `max_epochs` or later = never."""
        if len(self._complete) < MIN_COMPLETE or not self._candidates:
            return self._cautious
        reliable = takewhile(lambda epoch: self._weakest[epoch] >= self._cut(epoch), reversed(self._candidates))
        return min(reliable, default=self._candidates[-1])

    def should_continue(self, number: int, epoch: int, value: float) -> bool:
        self._store(number, epoch, value)
        return value >= self._cut(epoch) or not self._is_rung(epoch)

    def replay(self, history: Iterable[tuple[int, Mapping[int, float]]]) -> None:
        for number, values in history:
            for epoch, value in sorted(values.items()):
                self._store(number, epoch, value)

    def _store(self, number: int, epoch: int, value: float) -> None:
        """Of several values for an epoch, as after a crash, the first is kept, as in the journal."""
        curve = self._curves.setdefault(number, {})
        if epoch not in curve:
            curve[epoch] = value
            bisect.insort(self._known.setdefault(epoch, []), value)
            if epoch == self.max_epochs:
                bisect.insort(self._complete, (value, number))
                best = [self._curves[trial] for _, trial in self._complete[-self._survivors(len(self._complete)) :]]
                self._weakest = {rung: min(one.get(rung, math.inf) for one in best) for rung in self._candidates}

    def _is_rung(self, epoch: int) -> bool:
        rung = self.first_rung
        while rung < epoch:
            rung *= self.reduction_factor
        return rung == epoch < self.max_epochs

    def _survivors(self, trials: int) -> int:
        return math.ceil(trials / self.reduction_factor)

    def _cut(self, epoch: int) -> float:
        """The lowest value with which a trial continues after an epoch; -inf if no trial has reported it."""
        known = self._known.get(epoch)
        return known[-self._survivors(len(known))] if known else -math.inf
