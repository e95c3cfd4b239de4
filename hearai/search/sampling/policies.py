"""The policy of a study's search, with what is known from earlier calls."""

from collections.abc import Callable

from optuna.trial import FrozenTrial

from hearai.config.study import Study
from hearai.search.budget import budget_of
from hearai.search.early_stopping import build_stopper
from hearai.search.sampling.freeze_thaw.engine import FreezeThaw, freeze_thaw_levels
from hearai.search.sampling.freeze_thaw.pausing import Pausing, curves_of
from hearai.search.sampling.policy import Policy, Stopping
from hearai.search.sampling.samplers import suggest_params
from hearai.search.storage.attributes import DIVERGED
from hearai.search.storage.trial_store import BASE_TRIAL, TrialStore


def build_policy(study: Study, search: TrialStore, slots: int) -> Policy:
    """Who trains next in a search, and who continues: freeze-thaw, or a sampler of Optuna with early stopping."""
    settings = study.settings

    def suggest(trial):
        return suggest_params(trial, study)

    if settings.sampler.name == "freeze_thaw":
        return Pausing(search, suggest, build_engine(study), finalists=settings.finalists.count, slots=slots)
    stopper = build_stopper(settings.early_stopping, study.max_epochs)
    if stopper:
        stopper.replay((trial.number, _values_before_divergence(trial)) for trial in search.eligible_trials())
    return Stopping(search, suggest, stopper, protected=BASE_TRIAL)


def build_engine(study: Study) -> FreezeThaw:
    """The engine of a freeze-thaw search."""
    settings = study.settings
    startup = settings.sampler.startup_trials
    return FreezeThaw(study.space, study.base, study.max_epochs, seed=settings.seed, startup=startup)


def modelled_gain(study: Study, search: TrialStore) -> Callable[[int], float] | None:
    """By how much so many further complete trials are expected to raise the best value, by the model of the search.

    None: the sampler has no model of whole curves.
    """
    if study.settings.sampler.name != "freeze_thaw":
        return None
    return lambda trials: build_engine(study).expected_gain(curves_of(search), trials)


def policy_note(study: Study) -> str | None:
    """A line to print: where a freeze-thaw search decides, and what limits it."""
    if study.settings.sampler.name != "freeze_thaw":
        return None
    levels = ", ".join(map(str, freeze_thaw_levels(study.max_epochs)))
    epochs = budget_of(study).epochs
    limit = "" if epochs is None else f"; trial-epoch budget {epochs:,}"
    return f"freeze-thaw: decides after epoch {levels}{limit}; early_stopping is not used"


def _values_before_divergence(trial: FrozenTrial) -> dict[int, float]:
    """{epoch: value} without the epoch in which the trial diverged."""
    values = trial.intermediate_values
    return {e: v for e, v in values.items() if not (trial.user_attrs.get(DIVERGED) and e == max(values))}
