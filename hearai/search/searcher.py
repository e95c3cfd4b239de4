"""Tune's `Searcher` over the journal: hands out trials stage by stage, tells the journal how they ended.

Ray's own `OptunaSearch` tells early-stopped trials COMPLETE with their low-budget value, never hears the
result that triggered the stop, keeps a diverged trial RUNNING for ever and starts points anew on every
start; hence this one.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState
from ray.tune.search import Searcher

from hearai.config import Config
from hearai.search.journal import Ledger, Proposal


@dataclass
class Stage:
    """Trials of one ledger, until `limit` stand in it, nothing untried is left, or the time is up."""

    ledger: Ledger
    choose: Callable[[Any], Mapping[str, Any]]
    """Asks an Optuna trial for its parameters."""
    config_of: Callable[[Proposal], Config]
    limit: int
    slots: int
    seconds: float | None = None

    def __post_init__(self) -> None:
        self._opened = time.monotonic()

    @property
    def overdue(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() - self._opened > (math.inf if self.seconds is None else self.seconds)

    def propose(self) -> Proposal | None:
        """The next trial; None when there is no more."""
        if self.overdue or self.ledger.is_full(self.limit):
            return None
        return self.ledger.propose(self.choose)

    def close(self) -> None:
        """Adds the wall time to the journal."""
        self.ledger.spend(time.monotonic() - self._opened, self.slots)


class JournalSearcher(Searcher):
    """Proposes the trials of one stage after another; a stage begins when all trials of the last have ended.

    One Tune run carries all stages, so that its actors (3 s each to start) serve them all.

    stages: made lazily, so that a stage can look at the results of the one before.
    payload: (proposal, its stage) -> the dict that the trial function gets.
    """

    def __init__(self, stages: Iterator[Stage], payload: Callable[[Proposal, Stage], dict[str, Any]]):
        super().__init__(metric="objective", mode="max")
        self._stages, self._payload = stages, payload
        self._stage = next(stages, None)
        self._running: dict[str, tuple[Ledger, int]] = {}
        """Tune's trial id -> where it stands in the journal"""
        self.closed = False
        """After an interruption: the journal keeps running trials RUNNING, so that they come first next time."""

    @property
    def overdue(self) -> bool:
        """Whether the time of the present stage is up."""
        return self._stage is not None and self._stage.overdue

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        while self._stage is not None and not self.closed:
            if proposal := self._stage.propose():
                self._running[trial_id] = (self._stage.ledger, proposal.number)
                self._stage.ledger.note(proposal.number, tune_id=trial_id)
                return self._payload(proposal, self._stage)
            if self._running:
                return None  # Tune asks again
            self._stage.close()
            self._stage = next(self._stages, None)
        return Searcher.FINISHED

    def close(self) -> None:
        """Hears nothing more; the present stage's wall time is kept."""
        if self._stage is not None and not self.closed:
            self._stage.close()
        self.closed = True

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self._running and not self.closed and "objective" in result:
            ledger, number = self._running[trial_id]
            ledger.observe(number, int(result["epoch"]), float(result["objective"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id not in self._running or self.closed:
            return
        if result:
            self.on_trial_result(trial_id, result)  # the report that triggered a stop comes only here
        ledger, number = self._running.pop(trial_id)
        if error or not result or "objective" not in result:
            ledger.finish(number, TrialState.FAIL)
            return
        diverged = bool(result["diverged"])
        ledger.note(
            number,
            epochs=int(result["epoch"]),
            best_epoch=int(result["best_epoch"]),
            seconds=round(float(result["seconds"]), 3),
            diverged=diverged,
        )
        if diverged or result["epoch"] < result["epochs"]:
            ledger.finish(number, TrialState.PRUNED)
        else:
            ledger.finish(number, TrialState.COMPLETE, float(result["objective"]))

    def __getstate__(self) -> dict:
        """Nothing: Tune pickles its searcher, and the journal is the state."""
        return {}

    def get_state(self) -> dict:
        """Nothing: the journal is the state."""
        return {}

    def set_state(self, state: dict) -> None:
        """Nothing: the journal is the state."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""
