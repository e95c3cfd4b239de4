"""Tune's `Searcher` over the journal: hands out trials stage by stage, tells the journal how they ended.

Ray's own `OptunaSearch` tells early-stopped trials COMPLETE with their low-budget value, never hears the
result that triggered the stop, keeps a diverged trial RUNNING for ever and starts points anew on every
start; hence this one.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from ray.tune.search import Searcher

from hearai.config import Config
from hearai.errors import ConfigError, DiskFull, UserError
from hearai.metrics import COSTS
from hearai.search.budget import Spending
from hearai.search.deaths import AGAIN, Death
from hearai.search.journal import Ledger, Proposal
from hearai.search.trial_folder import failure_of


@dataclass
class Stage:
    """Trials of one ledger, until `limit` stand in it, nothing untried is left, or the budget is spent."""

    ledger: Ledger
    choose: Callable[[Any], Mapping[str, Any]]
    """Asks an Optuna trial for its parameters."""
    config_of: Callable[[Proposal], Config]
    limit: int
    slots: int
    spending: Spending | None = None
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
        return self.ledger.is_full(self.limit)

    def propose(self) -> Proposal | None:
        """The next trial; None when there is no more."""
        spent = self.spending.spent if self.spending else None
        self.ended_by = spent or (f"the budget of {self.limit:,} trials" if self.is_full else None)
        if self.ended_by:
            return None
        proposal = self.ledger.propose(self.choose)
        if proposal is None:
            self.ended_by = "the space, of which every point was tried"
        return proposal

    def observe(self, number: int, epoch: int, value: float) -> None:
        """Writes down a trial's objective after an epoch."""
        self.ledger.observe(number, epoch, value)
        if self.spending:
            self.spending.observe(number, epoch, value)

    def cuts(self, number: int) -> bool:
        """Whether a running trial is to end because the budget is spent."""
        return self.spending is not None and self.spending.cuts(number)

    def take_up(self) -> Proposal | None:
        """A trial of it that was taken back, as it was; also when the time is up."""
        return self.ledger.propose(self.choose) if self.ledger.has_left else None

    def tick(self) -> None:
        """Adds the wall time since the last tick to the journal."""
        now = time.monotonic()
        self.ledger.spend(now - self._ticked, self.slots)
        self._ticked = now


@dataclass(frozen=True)
class Handed:
    """A trial that Tune was given: where it stands in the journal, and its folder."""

    stage: Stage
    number: int
    folder: Path


class JournalSearcher(Searcher):
    """Proposes the trials of one stage after another.

    One Tune run carries all stages, so that its actors (5 s and more to start on two cores) serve them all. Tune
    stops an actor as soon as two have nothing to do.

    stages: made lazily, so that a stage can look at the results of the one before.
    payload: (proposal, its stage) -> the dict that the trial function gets, with its `folder`.
    """

    def __init__(self, stages: Iterator[Stage], payload: Callable[[Proposal, Stage], dict[str, Any]]):
        super().__init__(metric="objective", mode="max")
        self._stages, self._payload = stages, payload
        self._stage = next(stages, None)
        self._handed: dict[str, Handed] = {}
        """by Tune's trial id"""
        self._running: set[str] = set()
        """Those of them that have not ended."""
        self.closed = False
        """Set to hear nothing more: the journal keeps running trials RUNNING, so that they come first next time."""
        self.trouble: UserError | None = None
        """Why the search cannot go on; it is then closed, too."""
        self._deaths: dict[str, Death] = {}
        """Of trials that Tune is about to report as failed."""
        self._again: list[Stage] = []
        """Where trials are to be taken up again that died with their machine."""

    @property
    def stage(self) -> Stage | None:
        """The present one; None after the last."""
        return self._stage

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        with self.in_trouble():
            if not self.closed:
                return self._suggest(trial_id)
        return Searcher.FINISHED

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        while self._again:
            stage = self._again.pop()
            if (proposal := stage.take_up()) and (payload := self._hand_out(trial_id, proposal, stage)):
                return payload
        while self._stage is not None:
            if proposal := self._stage.propose():
                if payload := self._hand_out(trial_id, proposal, self._stage):
                    return payload
            elif self._running and self._stage.joins:
                return None  # Tune asks again
            else:
                self._stage.tick()
                self._stage = next(self._stages, None)
        return None if self._running else Searcher.FINISHED  # one of them may yet die with its machine

    def _hand_out(self, trial_id: str, proposal: Proposal, stage: Stage) -> dict[str, Any] | None:
        if payload := self._prepared(proposal, stage):
            self._handed[trial_id] = Handed(stage, proposal.number, Path(payload["folder"]))
            self._running.add(trial_id)
            stage.ledger.note(proposal.number, tune_id=trial_id)
        return payload

    def cuts(self, trial_id: str) -> bool:
        """Whether a trial that Tune was given is to end because the budget is spent."""
        trial = self._handed[trial_id]
        return trial.stage.cuts(trial.number)

    def stage_of(self, trial_id: str) -> Stage:
        """The stage of a trial that Tune was given."""
        return self._handed[trial_id].stage

    def _prepared(self, proposal: Proposal, stage: Stage) -> dict[str, Any] | None:
        """The payload; a config that cannot be is a failed trial, not the end of the search."""
        try:
            return self._payload(proposal, stage)
        except ConfigError as error:
            stage.ledger.note(proposal.number, reason=str(error))
            stage.ledger.finish(proposal.number, TrialState.FAIL)
            return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self._running and not self.closed and "objective" in result:
            trial = self._handed[trial_id]
            with self.in_trouble():
                trial.stage.observe(trial.number, int(result["epoch"]), float(result["objective"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id not in self._running or self.closed:
            return
        if result:
            self.on_trial_result(trial_id, result)  # the report that triggered a stop comes only here
        self._running.remove(trial_id)
        trial = self._handed[trial_id]
        with self.in_trouble():
            if error or not result or "objective" not in result:
                self._failed(trial, self._deaths.pop(trial_id, None) or Death(failure_of(trial.folder)))
            else:
                _tell(trial.stage, trial.number, result)
            if self._stage is not None:
                self._stage.tick()

    def on_trial_death(self, trial_id: str, death: Death) -> None:
        """Why a trial failed; Tune's own report of it, which follows, does not say."""
        self._deaths[trial_id] = death

    def on_trial_lost(self, trial_id: str) -> None:
        """Tune gave a trial up before it began, and told nobody: the actor's last trial could not be stopped."""
        if trial_id in self._running:
            self.on_trial_death(trial_id, Death("its process was still busy with the trial before", "machine"))
            self.on_trial_complete(trial_id, error=True)

    def _failed(self, trial: Handed, death: Death) -> None:
        """A trial's own fault is a result. It is run again where its machine failed; a full disk ends the search."""
        ledger, number = trial.stage.ledger, trial.number
        if death.fault == "disk":
            raise DiskFull(f"trial {trial.folder.name}: {death.reason}")
        known = ledger[number].user_attrs
        if death.fault == "notice":  # it has lost nothing, so it may be moved as often as machines come and go
            ledger.note(number, moved=known.get("moved", 0) + 1)
            self._take_back(trial)
            return
        lost = known.get("lost", 0) + (death.fault == "machine")
        if death.fault == "machine" and lost <= AGAIN:
            ledger.note(number, lost=lost)
            self._take_back(trial)
            return
        ledger.note(number, reason=f"{death.reason}{f', {lost} times' if lost > AGAIN else ''}")
        ledger.finish(number, TrialState.FAIL)

    def _take_back(self, trial: Handed) -> None:
        """It is proposed again before any other, as it was."""
        trial.stage.ledger.take_back(trial.number)
        self._again.append(trial.stage)

    @contextmanager
    def in_trouble(self) -> Iterator[None]:
        """Where the search cannot go on: Tune would bury the reason in a traceback, so it ends at its next step."""
        try:
            yield
        except UserError as error:
            self.give_up(error)

    def give_up(self, why: UserError) -> None:
        """Ends the search at Tune's next step; may be called from any thread."""
        self.trouble, self.closed = why, True

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


def _tell(stage: Stage, number: int, result: dict[str, Any]) -> None:
    """How a trial ended that reported: COMPLETE after its last epoch with all its values, else PRUNED."""
    ledger, diverged = stage.ledger, bool(result["diverged"])
    ended = diverged or result["epoch"] >= result["epochs"]
    if not ended and stage.cuts(number):
        ledger.note(number, cut=stage.spending.spent)  # not a judgement of its parameters
    ledger.note(
        number,
        epochs=int(result["epoch"]),
        best_epoch=int(result["best_epoch"]),
        seconds=round(float(result["seconds"]), 3),
        diverged=diverged,
        costs={name: result[name] for name in COSTS if name in result},
    )
    values = [float(result[metric]) for metric in ledger.metrics]
    if diverged or result["epoch"] < result["epochs"]:
        ledger.finish(number, TrialState.PRUNED)
    elif all(map(math.isfinite, values)):
        ledger.finish(number, TrialState.COMPLETE, values)
    else:
        odd = [f"{metric} {value}" for metric, value in zip(ledger.metrics, values, strict=True)]
        ledger.note(number, reason=f"not all of its values are finite numbers: {', '.join(odd)}")
        ledger.finish(number, TrialState.FAIL)
