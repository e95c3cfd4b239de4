"""Tune's scheduler: stops trials that have diverged, perform poorly, or are over budget."""

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from hearai.search.early_stopping import Stopper
from hearai.search.storage.attributes import BASE_KIND, FINAL_KIND
from hearai.search.trial.spec import TrialSpec


class EpochScheduler(FIFOScheduler):
    """Asks a `Stopper` and the budget at each report of an epoch.

    The base config's trial and the finalists' retraining run to their end: they are what is compared.
    """

    def __init__(
        self,
        stopper: Stopper | None,
        over_budget: Callable[[str], bool],
        on_failure: Callable[[Trial], object] | None = None,
    ):
        """over_budget: whether a trial (Tune's id) must end because the budget is used up.

        on_failure: called with a trial that failed, before Tune reports the failure to the searcher.
        """
        super().__init__()
        self.stopper, self.over_budget, self.on_failure = stopper, over_budget, on_failure

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        if self.on_failure:
            self.on_failure(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if "objective" not in result:
            return TrialScheduler.CONTINUE
        if result["diverged"]:
            return TrialScheduler.STOP
        spec = TrialSpec.of(trial)
        if spec.kind == FINAL_KIND:
            return TrialScheduler.CONTINUE
        is_promising = not self.stopper or self.stopper.should_continue(
            spec.number, int(result["epoch"]), float(result["objective"])
        )
        if spec.kind == BASE_KIND or (is_promising and not self.over_budget(trial.trial_id)):
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP
