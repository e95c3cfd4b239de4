"""Tune's scheduler: stops diverged, losing and overdue trials."""

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from hearai.search.early_stopping import Stopper


class EpochScheduler(FIFOScheduler):
    """Tune's scheduler around a `Stopper`: stops diverged, losing and overdue trials.

    The base config's trial and the finalists' retraining run to their end: they are what is compared.

    overdue: whether the time of a trial (Tune's id) is up.
    died: hears of a trial that failed, before the searcher does.
    """

    def __init__(
        self, stopper: Stopper | None, over_budget: Callable[[str], bool], on_failure: Callable[[Trial], None] = id
    ):
        super().__init__()
        self.stopper, self.over_budget, self.on_failure = stopper, over_budget, on_failure

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self.on_failure(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if "objective" not in result:
            return TrialScheduler.CONTINUE
        if result["diverged"]:
            return TrialScheduler.STOP
        kind, number = trial.config["kind"], trial.config["number"]
        if kind == "final":
            return TrialScheduler.CONTINUE
        in_race = not self.stopper or self.stopper.should_continue(
            number, int(result["epoch"]), float(result["objective"])
        )
        if kind == "base" or (in_race and not self.over_budget(trial.trial_id)):
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP
