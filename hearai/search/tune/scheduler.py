"""Tune's scheduler: ends trials that have diverged, or that the search stops or pauses."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from hearai.search.sampling.policy import Undecided, Verdict


class Judge(Protocol):
    """Decides about trials, by Tune's ids, after their reports."""

    def judge(self, trial_id: str, result: Mapping[str, Any]) -> Verdict | Undecided:
        """What happens to a trial after a report. UNDECIDED: see `verdicts`."""

    def verdicts(self) -> dict[str, Verdict]:
        """{Tune's id: what happens to it} of trials that were undecided and are decided now, each once."""


ACTIONS = {
    Verdict.CONTINUE: TrialScheduler.CONTINUE,
    # not Tune's own PAUSE, which holds on to the trial: a paused trial is proposed again later, to any actor
    Verdict.PAUSE: TrialScheduler.STOP,
    Verdict.STOP: TrialScheduler.STOP,
}


class EpochScheduler(FIFOScheduler):
    """Asks the search at each report of an epoch.

    While it is undecided the trial waits, with its model on the device, and no other report is delayed.
    """

    def __init__(self, judge: Judge, on_failure: Callable[[Trial], object] | None = None):
        """on_failure: called with a trial that failed, before Tune reports the failure to the searcher."""
        super().__init__()
        self._judge, self._on_failure = judge, on_failure
        self._waiting: dict[str, Trial] = {}
        """{Tune's id: trial that waits for a verdict}"""

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._waiting.pop(trial.trial_id, None)
        if self._on_failure:
            self._on_failure(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if "objective" not in result:
            return TrialScheduler.CONTINUE
        if result["diverged"]:
            return TrialScheduler.STOP
        verdict = self._judge.judge(trial.trial_id, result)
        if isinstance(verdict, Verdict):
            return ACTIONS[verdict]
        self._waiting[trial.trial_id] = trial
        return TrialScheduler.NOOP

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Called in each step of Tune, so it also acts on verdicts (Tune has no public way to do so later)."""
        for trial_id, verdict in self._judge.verdicts().items():
            if trial := self._waiting.pop(trial_id, None):
                tune_controller._execute_action(trial, ACTIONS[verdict])
        return super().choose_trial_to_run(tune_controller)
