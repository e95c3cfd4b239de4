"""What a search may spend, over all its calls: wall time, trial-epochs, and the score at which it is enough.

The number of trials is the `Stage`'s limit. Finals are not counted: what is worth confirming is decided by then.
"""

import math
import time

from hearai.config.study_schema import Budget
from hearai.search.storage.trial_store import TrialStore, primary


class BudgetTracker:
    """Watches the budget. Once it is spent nothing new begins, and running trials end at their next report.

    The trial that reached the score runs on to its end: nothing is gained by cutting it.
    """

    def __init__(self, budget: Budget, search: TrialStore):
        self._budget, self._since = budget, time.monotonic() - search.wall_seconds
        self._epochs = {trial.number: max(trial.intermediate_values, default=0) for trial in search.trials()}
        self.epochs = sum(self._epochs.values())
        """Trial-epochs of all trials so far."""
        self.reached_by = self._first_to_reach(search)
        """The trial that reached `stop_when`."""

    def observe(self, number: int, epoch: int, value: float) -> None:
        """A trial's objective after an epoch; told twice, it counts once."""
        self.epochs += max(0, epoch - self._epochs.get(number, 0))
        self._epochs[number] = max(epoch, self._epochs.get(number, 0))
        if self.reached_by is None and self._is_enough(value):
            self.reached_by = number

    @property
    def spent(self) -> str | None:
        """Which budget is spent, in words; None while there is something left."""
        budget = self._budget
        if self.reached_by is not None:
            return f"the score {budget.stop_when:g}, which trial {self.reached_by} reached"
        if budget.epochs is not None and self.epochs >= budget.epochs:
            return f"the budget of {budget.epochs:,} trial-epochs"
        if budget.seconds is not None and time.monotonic() - self._since > budget.seconds:
            return f"the time budget of {budget.seconds:g} s"
        return None

    def over_budget(self, number: int) -> bool:
        """Whether a trial is to end now."""
        return self.spent is not None and number != self.reached_by

    def _is_enough(self, value: float | None) -> bool:
        return value is not None and value >= (math.inf if self._budget.stop_when is None else self._budget.stop_when)

    def _first_to_reach(self, search: TrialStore) -> int | None:
        for trial in search.trials():
            if self._is_enough(primary(trial)) or any(map(self._is_enough, trial.intermediate_values.values())):
                return trial.number
        return None
