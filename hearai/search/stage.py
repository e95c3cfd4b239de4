"""A stage of a search: the trials proposed by the sampler, the base config's new seeds, or the finals."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hearai.config.config import Config
from hearai.search.budget import BudgetTracker
from hearai.search.sampling.policy import UNDECIDED, Policy, Stopping, Undecided, Verdict
from hearai.search.storage.trial_store import Proposal, Suggest, TrialStore


@dataclass
class Stage:
    """Proposes trials of one store until `limit` were started, every point was tried, or the budget is used up."""

    store: TrialStore
    suggest: Suggest
    """Asks an Optuna trial for its parameters."""
    config_of: Callable[[Proposal], Config]
    limit: int
    slots: int
    budget_tracker: BudgetTracker | None = None
    """None = only the limit."""
    drain: bool = True
    """Whether all running trials must end before the next stage starts; if not, the next one fills the free slots."""
    policy: Policy | None = None
    """Who trains next, and who continues; None = the store's sampler, without early stopping."""
    on_proposal: Callable[[float], None] = lambda seconds: None
    """Is given the seconds for which each trial waited until it was proposed: of the sampler, and of the journal."""

    def __post_init__(self) -> None:
        self._policy = self.policy or Stopping(self.store, self.suggest)
        self._last_tick = time.monotonic()
        self._asked: float | None = None
        """When the policy was first asked for the next trial, while it is still computing."""
        self.ended_by: str | None = None
        """Why no more trials are started, as text."""

    @property
    def is_full(self) -> bool:
        """Whether all its trials were started."""
        return self.store.is_full(self.limit)

    def propose(self) -> Proposal | Undecided | None:
        """The next trial; None if there is none, see `ended_by`."""
        spent = self.budget_tracker.spent if self.budget_tracker else None
        self.ended_by = spent or (f"trial budget ({self.limit:,}) used up" if self.is_full else None)
        asked = time.monotonic() if self._asked is None else self._asked
        proposal = self._policy.propose(room=self.store.room(self.limit), closing=spent is not None)
        self._asked = asked if proposal is UNDECIDED else None
        if isinstance(proposal, Proposal):
            self.on_proposal(time.monotonic() - asked)
        if proposal is None and self.ended_by is None:
            self.ended_by = "every point of the space has been tried"
        return proposal

    @property
    def must_drain(self) -> bool:
        """Whether running trials must end, or report, before the next stage starts."""
        return self.drain or self._policy.depends_on_running

    def observe(self, number: int, epoch: int, value: float) -> None:
        """Stores a trial's objective after an epoch."""
        self.store.observe(number, epoch, value)
        if self.budget_tracker:
            self.budget_tracker.observe(number, epoch, value)

    def judge(self, number: int, epoch: int, value: float) -> Verdict | Undecided:
        """Stores a trial's objective after an epoch, and decides whether it continues."""
        self.observe(number, epoch, value)
        return self._policy.judge(number, epoch, value, over_budget=self.over_budget(number))

    def verdicts(self) -> dict[int, Verdict]:
        """{number: what happens to it} of trials that were undecided and are decided now, each once."""
        return self._policy.verdicts()

    def over_budget(self, number: int) -> bool:
        """Whether a running trial must stop because the budget is used up."""
        return self.budget_tracker is not None and self.budget_tracker.over_budget(number)

    def next_requeued(self) -> Proposal | None:
        """A requeued trial, with the same parameters; also after the budget is used up."""
        return self.store.propose(self.suggest) if self.store.has_requeued else None

    def close(self) -> None:
        """Nothing more will be proposed."""
        self._policy.close()
        self.tick()

    def tick(self) -> None:
        """Adds the wall time since the last tick to the journal."""
        now = time.monotonic()
        self.store.add_wall_time(now - self._last_tick, self.slots)
        self._last_tick = now
