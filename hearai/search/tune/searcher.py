"""Tune's `Searcher` on top of the journal: proposes trials stage by stage and records their reports and ends.

Ray's own `OptunaSearch` is not used: it records trials that were stopped early as COMPLETE with their low-budget value,
never gets the report that triggered the stop, leaves a diverged trial RUNNING, and runs the initial points again
whenever a search is continued.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState
from ray.tune.search import Searcher

from hearai.errors import ConfigError, DiskFull, UserError
from hearai.metrics import COSTS
from hearai.search.sampling.policy import UNDECIDED, Undecided, Verdict
from hearai.search.stage import Stage
from hearai.search.storage import attributes
from hearai.search.storage.trial_store import Proposal
from hearai.search.trial.log import failure_of
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.failures import Failure

MAX_LOST_NODES = 3
"""How many nodes a trial may lose and run again; the next loss is a failure."""


@dataclass(frozen=True)
class RunningTrial:
    """A trial that Tune was given."""

    stage: Stage
    number: int
    folder: Path


class JournalSearcher(Searcher):
    """Proposes the trials of one stage after another.

    One Tune run serves all stages, so that its actors (5 s and more to start on two cores) are reused. Tune stops an
    actor as soon as two are idle.
    """

    def __init__(
        self,
        stages: Iterator[Stage],
        make_spec: Callable[[Proposal, Stage], TrialSpec],
        check_inputs: Callable[[str], None] = lambda _: None,
    ):
        """stages: made lazily, so that a stage can depend on the results of the one before.

        check_inputs: called with the reason when a trial has failed by itself; raises a UserError, which ends the
            search, if the files that every trial reads are gone or have changed.
        """
        super().__init__(metric="objective", mode="max")
        self._stages, self._make_spec, self._check_inputs = stages, make_spec, check_inputs
        self._stage = next(stages, None)
        self._trials: dict[str, RunningTrial] = {}
        """{Tune's id: trial} of all trials that Tune was given."""
        self._running: set[str] = set()
        """Tune's ids of those that have not ended."""
        self.closed = False
        """Once set, nothing more is recorded: running trials stay RUNNING in the journal, and come first next time."""
        self.is_undecided = False
        """Whether the last `suggest` gave no trial because the policy was still computing."""
        self.trouble: UserError | None = None
        """Why the search cannot continue; it is then closed as well."""
        self._failures: dict[str, Failure] = {}
        """{Tune's id: failure} of trials that Tune is about to report as failed."""
        self._pausing: set[str] = set()
        """Tune's ids of trials that end because they are paused."""
        self._requeued: list[Stage] = []
        """The stage of each trial that is to run again."""

    @property
    def stage(self) -> Stage | None:
        """The current stage; None after the last."""
        return self._stage

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        with self.abort_on_error():
            if not self.closed:
                return self._suggest(trial_id)
        return Searcher.FINISHED

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        self.is_undecided = False
        while self._requeued:
            stage = self._requeued.pop()
            if (requeued := stage.next_requeued()) and (spec := self._start(trial_id, requeued, stage)):
                return spec.to_dict()
        while self._stage is not None:
            proposal = self._stage.propose()
            if isinstance(proposal, Proposal):
                if spec := self._start(trial_id, proposal, self._stage):
                    return spec.to_dict()
            elif proposal is UNDECIDED:
                self.is_undecided = True
                return None  # Tune asks again
            elif self._running and self._stage.must_drain:
                return None
            else:
                self._stage.close()
                self._stage = next(self._stages, None)
        return None if self._running else Searcher.FINISHED  # a running trial may still be requeued

    def _start(self, trial_id: str, proposal: Proposal, stage: Stage) -> TrialSpec | None:
        """The trial to run; None: its config is invalid, which is a failed trial, not the end of the search."""
        try:
            spec = self._make_spec(proposal, stage)
        except ConfigError as error:
            stage.store.set_user_attrs(proposal.number, {attributes.REASON: str(error)})
            stage.store.finish(proposal.number, TrialState.FAIL)
            return None
        self._trials[trial_id] = RunningTrial(stage, proposal.number, Path(spec.folder))
        self._running.add(trial_id)
        stage.store.set_user_attrs(proposal.number, {attributes.TUNE_ID: trial_id})
        return spec

    def judge(self, trial_id: str, result: Mapping[str, Any]) -> Verdict | Undecided:
        """What happens to a trial after a report with an objective. UNDECIDED: see `verdicts`."""
        with self.abort_on_error():
            if trial_id in self._running and not self.closed:
                trial = self._trials[trial_id]
                verdict = trial.stage.judge(trial.number, int(result["epoch"]), float(result["objective"]))
                if verdict is Verdict.PAUSE:
                    self._pausing.add(trial_id)
                return verdict
        return Verdict.CONTINUE  # the search ends at Tune's next step

    def verdicts(self) -> dict[str, Verdict]:
        """{Tune's id: what happens to it} of running trials that were undecided and are decided now, each once."""
        if self.closed:
            return {}
        decided: dict[str, Verdict] = {}
        with self.abort_on_error():
            running = [(trial_id, self._trials[trial_id]) for trial_id in self._running]
            for stage in {id(trial.stage): trial.stage for _, trial in running}.values():
                verdicts = stage.verdicts()
                for trial_id, trial in running:
                    if trial.stage is stage and trial.number in verdicts:
                        decided[trial_id] = verdicts[trial.number]
        self._pausing |= {trial_id for trial_id, verdict in decided.items() if verdict is Verdict.PAUSE}
        return decided

    def stage_of(self, trial_id: str) -> Stage:
        """The stage of a trial that Tune was given."""
        return self._trials[trial_id].stage

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self._running and not self.closed and "objective" in result:
            trial = self._trials[trial_id]
            with self.abort_on_error():
                trial.stage.observe(trial.number, int(result["epoch"]), float(result["objective"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id not in self._running or self.closed:
            return
        if result:
            # Tune asks the scheduler about a report first, and does not give it to `on_trial_result` on STOP
            self.on_trial_result(trial_id, result)
        self._running.remove(trial_id)
        trial = self._trials[trial_id]
        with self.abort_on_error():
            if error or not result or "objective" not in result:
                failure = self._failures.pop(trial_id, None)
                self._record_failure(trial, failure or Failure(failure_of(trial.folder)))
            else:
                paused = trial_id in self._pausing and result["epoch"] < result["epochs"]
                _record_end(trial.stage, trial.number, result, paused=paused)
            self._pausing.discard(trial_id)
            if self._stage is not None:
                self._stage.tick()

    def on_trial_failure(self, trial_id: str, failure: Failure) -> None:
        """Why a trial failed. Tune's own report, which follows, does not say."""
        self._failures[trial_id] = failure

    def on_trial_lost(self, trial_id: str) -> None:
        """Tune gave a trial up before it started, without a report: its actor could not be reused."""
        if trial_id in self._running:
            self.on_trial_failure(trial_id, Failure("its process was still busy with the previous trial", "node"))
            self.on_trial_complete(trial_id, error=True)

    def _record_failure(self, trial: RunningTrial, failure: Failure) -> None:
        """A trial's own failure is its result. After a lost node it runs again; a full disk or lost data ends all."""
        store, number = trial.stage.store, trial.number
        if failure.cause == "disk":
            raise DiskFull(f"trial {trial.folder.name}: {failure.reason}")
        known = store[number].user_attrs
        if failure.cause == "preemption":  # no step is lost, so there is no limit
            store.set_user_attrs(number, {attributes.MOVED: known.get(attributes.MOVED, 0) + 1})
            self._requeue(trial)
            return
        lost = known.get(attributes.LOST, 0) + (failure.cause == "node")
        if failure.cause == "node" and lost <= MAX_LOST_NODES:
            store.set_user_attrs(number, {attributes.LOST: lost})
            self._requeue(trial)
            return
        self._check_inputs(failure.reason)
        reason = f"{failure.reason}{f', {lost} times' if lost > MAX_LOST_NODES else ''}"
        store.set_user_attrs(number, {attributes.REASON: reason})
        store.finish(number, TrialState.FAIL)

    def _requeue(self, trial: RunningTrial) -> None:
        """The trial is proposed again before any other, with the same parameters."""
        trial.stage.store.requeue(trial.number)
        self._requeued.append(trial.stage)

    def interrupt(self, *_: object) -> None:
        """Signal handler: closes the search; `Interruption` ends it at Tune's next step.

        It does not touch the journal: the signal may have come in the middle of a write.

        Raises:
            KeyboardInterrupt: the second time, at once.
        """
        if self.closed:
            raise KeyboardInterrupt
        self.closed = True

    @contextmanager
    def abort_on_error(self) -> Iterator[None]:
        """Ends the search at Tune's next step on a UserError. Raised here, Tune would bury it in a traceback."""
        try:
            yield
        except UserError as error:
            self.abort(error)

    def abort(self, why: UserError) -> None:
        """Ends the search at Tune's next step. Thread-safe."""
        # errors of trials that fail meanwhile are not asked for any more, and Ray would print them as tracebacks
        os.environ["RAY_IGNORE_UNHANDLED_ERRORS"] = "1"
        self.trouble, self.closed = why, True

    def __getstate__(self) -> dict:
        """Nothing: Tune pickles its searcher, and the state is in the journal."""
        return {}

    def get_state(self) -> dict:
        """Nothing: the state is in the journal."""
        return {}

    def set_state(self, state: dict) -> None:
        """Nothing: the state is in the journal."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the state is in the journal."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the state is in the journal."""


def _record_end(stage: Stage, number: int, result: dict[str, Any], *, paused: bool) -> None:
    """Records how a trial that reported has ended: COMPLETE after its last epoch with all its values, else PRUNED.

    A paused trial has not ended.
    """
    store, diverged = stage.store, bool(result["diverged"])
    ended = diverged or result["epoch"] >= result["epochs"]
    if not ended and not paused and stage.budget_tracker and stage.over_budget(number):
        store.set_user_attrs(number, {attributes.CUT: stage.budget_tracker.spent})  # not a judgement of its parameters
    store.set_user_attrs(
        number,
        {
            attributes.EPOCHS: int(result["epoch"]),
            attributes.BEST_EPOCH: int(result["best_epoch"]),
            attributes.SECONDS: round(float(result["seconds"]), 3),
            attributes.DIVERGED: diverged,
            attributes.COSTS: {name: result[name] for name in COSTS if name in result},
        },
    )
    if "reason" in result:
        store.set_user_attrs(number, {attributes.REASON: result["reason"]})
    values = [float(result[metric]) for metric in store.metrics]
    if paused and not diverged:
        store.pause(number, int(result["epoch"]))
    elif diverged or result["epoch"] < result["epochs"]:
        store.finish(number, TrialState.PRUNED)
    elif all(map(math.isfinite, values)):
        store.finish(number, TrialState.COMPLETE, values)
    else:
        odd = [f"{metric} {value}" for metric, value in zip(store.metrics, values, strict=True)]
        reason = f"its values are not all finite numbers: {', '.join(odd)}"
        store.set_user_attrs(number, {attributes.REASON: reason})
        store.finish(number, TrialState.FAIL)
