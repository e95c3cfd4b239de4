"""Tune's `Searcher` over the journal: hands out trials stage by stage, tells the journal how they ended.

Ray's own `OptunaSearch` tells early-stopped trials COMPLETE with their low-budget value, never hears the
result that triggered the stop, keeps a diverged trial RUNNING for ever and starts points anew on every
start; hence this one.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from ray.tune.search import Searcher

from hearai.errors import ConfigError, DiskFull, UserError
from hearai.metrics import COSTS
from hearai.search.stage import Stage
from hearai.search.storage.trial_store import Proposal
from hearai.search.trial.log import failure_of
from hearai.search.tune.failures import AGAIN, Failure


@dataclass(frozen=True)
class RunningTrial:
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
        self._trials: dict[str, RunningTrial] = {}
        """by Tune's trial id"""
        self._running: set[str] = set()
        """Those of them that have not ended."""
        self.closed = False
        """Set to hear nothing more: the journal keeps running trials RUNNING, so that they come first next time."""
        self.trouble: UserError | None = None
        """Why the search cannot go on; it is then closed, too."""
        self._failures: dict[str, Failure] = {}
        """Of trials that Tune is about to report as failed."""
        self._again: list[Stage] = []
        """Where trials are to be taken up again that died with their machine."""

    @property
    def stage(self) -> Stage | None:
        """The present one; None after the last."""
        return self._stage

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        with self.abort_on_error():
            if not self.closed:
                return self._suggest(trial_id)
        return Searcher.FINISHED

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        while self._again:
            stage = self._again.pop()
            if (proposal := stage.next_requeued()) and (payload := self._hand_out(trial_id, proposal, stage)):
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
            self._trials[trial_id] = RunningTrial(stage, proposal.number, Path(payload["folder"]))
            self._running.add(trial_id)
            stage.store.note(proposal.number, tune_id=trial_id)
        return payload

    def over_budget(self, trial_id: str) -> bool:
        """Whether a trial that Tune was given is to end because the budget is spent."""
        trial = self._trials[trial_id]
        return trial.stage.over_budget(trial.number)

    def stage_of(self, trial_id: str) -> Stage:
        """The stage of a trial that Tune was given."""
        return self._trials[trial_id].stage

    def _prepared(self, proposal: Proposal, stage: Stage) -> dict[str, Any] | None:
        """The payload; a config that cannot be is a failed trial, not the end of the search."""
        try:
            return self._payload(proposal, stage)
        except ConfigError as error:
            stage.store.note(proposal.number, reason=str(error))
            stage.store.finish(proposal.number, TrialState.FAIL)
            return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self._running and not self.closed and "objective" in result:
            trial = self._trials[trial_id]
            with self.abort_on_error():
                trial.stage.observe(trial.number, int(result["epoch"]), float(result["objective"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id not in self._running or self.closed:
            return
        if result:
            self.on_trial_result(trial_id, result)  # the report that triggered a stop comes only here
        self._running.remove(trial_id)
        trial = self._trials[trial_id]
        with self.abort_on_error():
            if error or not result or "objective" not in result:
                self._failed(trial, self._failures.pop(trial_id, None) or Failure(failure_of(trial.folder)))
            else:
                _tell(trial.stage, trial.number, result)
            if self._stage is not None:
                self._stage.tick()

    def on_trial_failure(self, trial_id: str, failure: Failure) -> None:
        """Why a trial failed; Tune's own report of it, which follows, does not say."""
        self._failures[trial_id] = failure

    def on_trial_lost(self, trial_id: str) -> None:
        """Tune gave a trial up before it began, and told nobody: the actor's last trial could not be stopped."""
        if trial_id in self._running:
            self.on_trial_failure(trial_id, Failure("its process was still busy with the trial before", "machine"))
            self.on_trial_complete(trial_id, error=True)

    def _failed(self, trial: RunningTrial, failure: Failure) -> None:
        """A trial's own fault is a result. It is run again where its machine failed; a full disk ends the search."""
        store, number = trial.stage.store, trial.number
        if failure.cause == "disk":
            raise DiskFull(f"trial {trial.folder.name}: {failure.reason}")
        known = store[number].user_attrs
        if failure.cause == "notice":  # it has lost nothing, so it may be moved as often as machines come and go
            store.note(number, moved=known.get("moved", 0) + 1)
            self._take_back(trial)
            return
        lost = known.get("lost", 0) + (failure.cause == "machine")
        if failure.cause == "machine" and lost <= AGAIN:
            store.note(number, lost=lost)
            self._take_back(trial)
            return
        store.note(number, reason=f"{failure.reason}{f', {lost} times' if lost > AGAIN else ''}")
        store.finish(number, TrialState.FAIL)

    def _take_back(self, trial: RunningTrial) -> None:
        """It is proposed again before any other, as it was."""
        trial.stage.store.requeue(trial.number)
        self._again.append(trial.stage)

    @contextmanager
    def abort_on_error(self) -> Iterator[None]:
        """Where the search cannot go on: Tune would bury the reason in a traceback, so it ends at its next step."""
        try:
            yield
        except UserError as error:
            self.abort(error)

    def abort(self, why: UserError) -> None:
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
    store, diverged = stage.store, bool(result["diverged"])
    ended = diverged or result["epoch"] >= result["epochs"]
    if not ended and stage.over_budget(number):
        store.note(number, cut=stage.budget_tracker.spent)  # not a judgement of its parameters
    store.note(
        number,
        epochs=int(result["epoch"]),
        best_epoch=int(result["best_epoch"]),
        seconds=round(float(result["seconds"]), 3),
        diverged=diverged,
        costs={name: result[name] for name in COSTS if name in result},
    )
    values = [float(result[metric]) for metric in store.metrics]
    if diverged or result["epoch"] < result["epochs"]:
        store.finish(number, TrialState.PRUNED)
    elif all(map(math.isfinite, values)):
        store.finish(number, TrialState.COMPLETE, values)
    else:
        odd = [f"{metric} {value}" for metric, value in zip(store.metrics, values, strict=True)]
        store.note(number, reason=f"not all of its values are finite numbers: {', '.join(odd)}")
        store.finish(number, TrialState.FAIL)
