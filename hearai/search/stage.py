"""TODO."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hearai.config.config import Config
from hearai.search.budget import BudgetTracker
from hearai.search.storage.trial_store import Proposal, TrialStore


@dataclass
class Stage:
    """Trials of one ledger, until `limit` stand in it, nothing untried is left, or the budget is spent."""

    store: TrialStore
    choose: Callable[[Any], Mapping[str, Any]]
    """Asks an Optuna trial for its parameters."""
    config_of: Callable[[Proposal], Config]
    limit: int
    slots: int
    budget_tracker: BudgetTracker | None = None
    """None = no budget but the limit."""
    joins: bool = True
    """Whether all running trials end before the next stage begins; if not, that one fills the slots that fall free."""

    def __post_init__(self) -> None:
        self._ticked = time.monotonic()
        self.ended_by: str | None = None
        """Why nothing more is proposed, in words."""

    @property
    def is_full(self) -> bool:
        """Whether all its trials have been begun."""
        return self.store.is_full(self.limit)

    def propose(self) -> Proposal | None:
        """The next trial; None when there is no more."""
        spent = self.budget_tracker.spent if self.budget_tracker else None
        self.ended_by = spent or (f"the budget of {self.limit:,} trials" if self.is_full else None)
        if self.ended_by:
            return None
        proposal = self.store.propose(self.choose)
        if proposal is None:
            self.ended_by = "the space, of which every point was tried"
        return proposal

    def observe(self, number: int, epoch: int, value: float) -> None:
        """Writes down a trial's objective after an epoch."""
        self.store.observe(number, epoch, value)
        if self.budget_tracker:
            self.budget_tracker.observe(number, epoch, value)

    def over_budget(self, number: int) -> bool:
        """Whether a running trial is to end because the budget is spent."""
        return self.budget_tracker is not None and self.budget_tracker.over_budget(number)

    def next_requeued(self) -> Proposal | None:
        """A trial of it that was taken back, as it was; also when the time is up."""
        return self.store.propose(self.choose) if self.store.has_left else None

    def tick(self) -> None:
        """Adds the wall time since the last tick to the journal."""
        now = time.monotonic()
        self.store.add_wall_time(now - self._ticked, self.slots)
        self._ticked = now
