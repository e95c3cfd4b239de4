"""The policy of a study's search, with what is known from earlier calls."""

from collections.abc import Callable, Mapping, Sequence

from optuna.trial import FrozenTrial

from hearai.config.study import Study
from hearai.search.budget import budget_of
from hearai.search.early_stopping import build_stopper
from hearai.search.early_stopping.plateau import values_by_source
from hearai.search.sampling.freeze_thaw.engine import NO_SEEDS, FreezeThaw, freeze_thaw_levels
from hearai.search.sampling.freeze_thaw.pausing import Pausing, curves_of
from hearai.search.sampling.policy import Policy, Stopping
from hearai.search.sampling.samplers import suggest_params
from hearai.search.storage.attributes import DIVERGED
from hearai.search.storage.trial_store import BASE_TRIAL, TrialStore


def build_policy(study: Study, search: TrialStore, slots: int, finals: TrialStore | None = None) -> Policy:
    """Who trains next in a search, and who continues: freeze-thaw, or a sampler of Optuna with early stopping.

    finals: those of earlier calls, from which freeze-thaw learns how much a seed changes.
    """
    settings = study.settings

    def suggest(trial):
        return suggest_params(trial, study)

    if settings.sampler.name == "freeze_thaw":
        engine = build_engine(study, values_by_source(finals) if finals else NO_SEEDS)
        return Pausing(search, suggest, engine, finalists=settings.finalists.count, slots=slots)
    stopper = build_stopper(settings.early_stopping, study.max_epochs)
    if stopper:
        stopper.replay((trial.number, _values_before_divergence(trial)) for trial in search.eligible_trials())
    return Stopping(search, suggest, stopper, protected=BASE_TRIAL)


def build_engine(study: Study, seed_values: Mapping[int, Sequence[float]] = NO_SEEDS) -> FreezeThaw:
    """The engine of a freeze-thaw search.

    seed_values: {config: its scores with several seeds}, where any are known.
    """
    seed, startup = study.settings.seed, study.settings.sampler.startup_trials
    return FreezeThaw(study.space, study.base, study.max_epochs, seed=seed, startup=startup, seed_values=seed_values)


def modelled_gain(study: Study, search: TrialStore, finals: TrialStore) -> Callable[[int], float] | None:
    """By how much so many further complete trials are expected to raise the best value, by the model of the search.

    None: the sampler has no model of whole curves.
    """
    if study.settings.sampler.name != "freeze_thaw":
        return None
    engine = build_engine(study, values_by_source(finals))
    return lambda trials: engine.expected_gain(curves_of(search), trials)


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
