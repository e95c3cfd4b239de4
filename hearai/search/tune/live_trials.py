"""What a search tells its views: the study with its earlier trials, and a Tune callback that follows the trials."""

import math
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from ray.tune import Callback
from ray.tune.experiment import Trial

from hearai.cli.progress import events
from hearai.config.study import Study
from hearai.metrics import SCORES
from hearai.search.budget import budget_of
from hearai.search.plan import Plan
from hearai.search.storage import attributes
from hearai.search.storage.layout import label_of
from hearai.search.storage.trial_store import TrialStore, is_paused
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.searcher import JournalSearcher
from hearai.training.features.feature_cache import epochs_on_features

STATES = {TrialState.COMPLETE: events.COMPLETE, TrialState.PRUNED: events.STOPPED, TrialState.FAIL: events.FAILED}


def study_opened(plan: Plan, folder: Path, search: TrialStore, finals: TrialStore) -> events.StudyOpened:
    """What the views must know of a study before its first event."""
    study, settings, budget = plan.study, plan.study.settings, budget_of(plan.study)
    count = settings.finalists.count
    return events.StudyOpened(
        study=study.name,
        folder=str(folder),
        score=SCORES[study.base.train_parameters.objective_metric],
        trials=budget.trials,
        epochs=budget.epochs,
        seconds=budget.seconds,
        may_end_early=budget.stop_when is not None,
        used_seconds=search.wall_seconds,
        phases=_planned_phases(plan),
        max_epochs=study.max_epochs,
        final_runs=(count + 1) * settings.finalists.seeds if count else 0,
        base=_base_values(study),
        earlier=(*_earlier(search, is_final=False), *_earlier(finals, is_final=True)),
    )


def _planned_phases(plan: Plan) -> tuple[str, ...]:
    finalists = plan.study.settings.finalists
    is_planned = {
        events.PRETRAINING: plan.pretrain is not None,
        events.FEATURES: bool(epochs_on_features(plan.study.base, plan.data)),
        events.FINALS: finalists.count > 0,
        events.RETRAINING: finalists.retrain,
    }
    return tuple(phase for phase in events.PHASES if is_planned.get(phase, True))


def _base_values(study: Study) -> dict[str, Any]:
    return {path: study.space.base_value(path, study.base) for path in study.space.domains}


def _earlier(store: TrialStore, *, is_final: bool) -> list[events.TrialEnded]:
    return [trial_ended(trial, is_final=is_final) for trial in store.trials() if _has_ended(trial)]


def _has_ended(trial: FrozenTrial) -> bool:
    return trial.state in STATES or is_paused(trial)


def trial_ended(trial: FrozenTrial, *, is_final: bool) -> events.TrialEnded:
    """How a trial of the journal ended, or that it is paused."""
    values, known = trial.intermediate_values, trial.user_attrs
    scores = [value for value in (*(trial.values or ())[:1], *values.values()) if math.isfinite(value)]
    return events.TrialEnded(
        label=label_of(trial.number, known),
        state=STATES.get(trial.state, events.PAUSED),
        epoch=max(values, default=0),
        objective=max(scores, default=None),
        seconds=known.get(attributes.SECONDS),
        params=trial.params,
        reason=known.get(attributes.REASON, ""),
        is_final=is_final,
    )


class LiveTrials(Callback):
    """Follows the trials of a Tune run."""

    def __init__(self, show: events.Show, searcher: JournalSearcher):
        self._show, self._searcher = show, searcher

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks, and a view has threads."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        known, label = self._known(trial), TrialSpec.of(trial).label
        self._show(events.TrialStarted(label, known.params, is_final=_is_final(trial)))

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any) -> None:
        if "objective" in result:
            objective, label = float(result["objective"]), TrialSpec.of(trial).label
            score = objective if math.isfinite(objective) else None
            self._show(events.EpochEnded(label, int(result["epoch"]), int(result["epochs"]), score))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        known = self._known(trial)
        if _has_ended(known):
            self._show(trial_ended(known, is_final=_is_final(trial)))
        else:
            self._show(events.TrialRequeued(TrialSpec.of(trial).label))

    on_trial_error = on_trial_complete

    def _known(self, trial: Trial) -> FrozenTrial:
        """The trial in the journal."""
        return self._searcher.stage_of(trial.trial_id).store[TrialSpec.of(trial).number]


def _is_final(trial: Trial) -> bool:
    return TrialSpec.of(trial).kind == attributes.FINAL_KIND
