"""The budget of a search over all its calls: wall time, trial-epochs, and a target score or a plateau.

The number of trials is limited by `Stage`. Finals do not count: the search is over by then.
"""

import math
import time

from hearai.config.study import Study
from hearai.config.study_schema import Budget
from hearai.search.early_stopping.plateau import Plateau
from hearai.search.storage.trial_store import TrialStore, primary_value

FREEZE_THAW_SHARE = 0.3
"""Share of the epochs of complete trials that a freeze-thaw search without another limit spends."""


def budget_of(study: Study) -> Budget:
    """The limits of a study's search.

    A freeze-thaw search always finds a trial that could be trained on, so that a number of trials alone would not end
    it before all are complete: it gets a limit of epochs.
    """
    budget = study.settings.budget
    if study.settings.sampler.name != "freeze_thaw" or budget.epochs is not None or budget.seconds is not None:
        return budget
    return budget.model_copy(update={"epochs": math.ceil(FREEZE_THAW_SHARE * budget.trials * study.max_epochs)})


class BudgetTracker:
    """Tracks how much of a budget is used. Once it is used up no trial starts, and running ones stop after their epoch.

    The trial that reached the target score continues to its end: stopping it would gain nothing.
    """

    def __init__(self, budget: Budget, search: TrialStore, plateau: Plateau | None = None):
        self._budget, self._plateau = budget, plateau
        self._started = time.monotonic() - search.wall_seconds
        self._epochs = {trial.number: max(trial.intermediate_values, default=0) for trial in search.trials()}
        self.epochs = sum(self._epochs.values())
        """Trial-epochs of all trials."""
        self.reached_by = self._first_to_reach_target(search)
        """Number of the trial that reached `stop_when`."""

    def observe(self, number: int, epoch: int, value: float) -> None:
        """Counts an epoch of a trial, once, and compares its objective with the target."""
        self.epochs += max(0, epoch - self._epochs.get(number, 0))
        self._epochs[number] = max(epoch, self._epochs.get(number, 0))
        if self.reached_by is None and self._reaches_target(value):
            self.reached_by = number

    @property
    def spent(self) -> str | None:
        """Which budget is used up, as text; None if none is."""
        budget = self._budget
        if self.reached_by is not None:
            return f"target score {budget.stop_when:g} reached by trial {self.reached_by}"
        if self._plateau is not None and self._plateau.reason is not None:
            return self._plateau.reason
        if budget.epochs is not None and self.epochs >= budget.epochs:
            return f"trial-epoch budget ({budget.epochs:,}) used up"
        if budget.seconds is not None and time.monotonic() - self._started > budget.seconds:
            return f"time budget ({_format_seconds(budget.seconds)}) used up"
        return None

    def over_budget(self, number: int) -> bool:
        """Whether a running trial must stop now."""
        return self.spent is not None and number != self.reached_by

    def _reaches_target(self, value: float | None) -> bool:
        target = self._budget.stop_when if isinstance(self._budget.stop_when, float) else math.inf
        return value is not None and value >= target

    def _first_to_reach_target(self, search: TrialStore) -> int | None:
        for trial in search.eligible_trials():
            if any(map(self._reaches_target, [primary_value(trial), *trial.intermediate_values.values()])):
                return trial.number
        return None


def _format_seconds(seconds: float) -> str:
    """`2 h`, `30 min` or `90 s`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
