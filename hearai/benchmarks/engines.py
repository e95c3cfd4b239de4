"""The search engines that are compared, each as its users run it: hearai, Ray's stock pair, and Optuna alone."""

import itertools
import math
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from hearai.benchmarks.simulation import Run
from hearai.config.domains import Value
from hearai.config.study import Study
from hearai.search.early_stopping import build_stopper
from hearai.search.sampling.samplers import build_search_store, distribution_of, suggest_params
from hearai.search.stage import Stage
from hearai.search.storage.attributes import BASE_KIND, KIND, SEARCH_KIND
from hearai.search.storage.trial_store import Proposal
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.scheduler import EpochScheduler
from hearai.search.tune.searcher import JournalSearcher

UNLIMITED_TRIALS = 1_000_000
"""The limit of trials in a search that ends by its epoch budget."""


class WorstSoFar:
    """What users of engines that do not know divergence report in its place: the worst value that they have seen."""

    def __init__(self) -> None:
        self._worst: float | None = None

    def of(self, value: float) -> float:
        """The value itself, or the worst one so far in place of NaN."""
        if math.isnan(value):
            return DIVERGED_FIRST if self._worst is None else self._worst
        self._worst = value if self._worst is None else min(value, self._worst)
        return value


DIVERGED_FIRST = -10.0
"""Reported for a run that diverged before any other had reported; below every value of every task."""


class HearaiEngine:
    """Journal, searcher and scheduler of `hearai.search`, called as Tune's controller calls them."""

    def __init__(self, study: Study, folder: Path, workers: int, storage: Any):
        self.store = build_search_store(storage, study)
        self.store.enqueue(study.base_params(), {KIND: BASE_KIND})
        stage = Stage(
            self.store,
            lambda trial: suggest_params(trial, study),
            lambda _: study.base,
            limit=UNLIMITED_TRIALS,
            slots=workers,
        )
        self._searcher = JournalSearcher(iter([stage]), self._make_spec)
        stopper = build_stopper(study.settings.early_stopping, study.max_epochs)
        self._scheduler = EpochScheduler(stopper, over_budget=lambda _: False)
        self._epochs, self._keys = study.max_epochs, map(str, itertools.count())
        self._trials: dict[str, Trial] = {}
        self._best: dict[str, float] = {}
        self._folder, self._params = str(folder), dict[int, dict[str, Any]]()

    def _make_spec(self, proposal: Proposal, stage: Stage) -> TrialSpec:
        self._params[proposal.number] = dict(proposal.params)
        return TrialSpec(proposal.number, self._folder, config={}, kind=proposal.user_attrs.get(KIND, SEARCH_KIND))

    def ask(self) -> Run | None:
        key = next(self._keys)
        config = self._searcher.suggest(key)
        if not isinstance(config, dict):
            return None
        self._trials[key] = Trial("benchmark", config=config, stub=True)
        return Run(key, self._params.pop(self.number_of(key)))

    def number_of(self, key: str) -> int:
        """The trial number in the journal of a current run."""
        return TrialSpec.of(self._trials[key]).number

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        diverged = math.isnan(value)
        value = self._best[key] = self._best.get(key, math.nan) if diverged else value
        result = {"epoch": epoch, "epochs": self._epochs, "objective": value, "best_epoch": epoch}
        result |= {"diverged": float(diverged), "seconds": 0.0, "training_iteration": epoch}
        should_continue = self._scheduler.on_trial_result(None, self._trials[key], result) == TrialScheduler.CONTINUE
        if should_continue:
            self._searcher.on_trial_result(key, result)
        if last or not should_continue:
            self._searcher.on_trial_complete(key, result)
            del self._trials[key], self._best[key]
        return should_continue


class RayEngine:
    """Ray's `OptunaSearch` and `ASHAScheduler` with their defaults, ASHA with the study's grace period and factor."""

    def __init__(self, study: Study, *, base_first: bool = False):
        points = [study.base_params()] if base_first else None
        space = {path: distribution_of(domain) for path, domain in study.space.domains.items()}
        self._search = OptunaSearch(
            space=space, metric="objective", mode="max", points_to_evaluate=points, seed=study.settings.seed
        )
        stopping = study.settings.early_stopping
        self._scheduler = ASHAScheduler(
            time_attr="epoch",
            metric="objective",
            mode="max",
            max_t=study.max_epochs,
            grace_period=stopping.grace_epochs,
            reduction_factor=stopping.reduction_factor,
        )
        self._paths, self._keys = list(space), map(str, itertools.count())
        self._trials: dict[str, Trial] = {}
        self._worst = WorstSoFar()

    def ask(self) -> Run | None:
        key = next(self._keys)
        params = self._search.suggest(key)
        trial = Trial("benchmark", config=params, trial_id=key, stub=True)
        self._scheduler.on_trial_add(None, trial)
        self._trials[key] = trial
        return Run(key, {path: params[path] for path in self._paths})

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        trial = self._trials[key]
        result = {"epoch": epoch, "objective": self._worst.of(value), "training_iteration": epoch}
        should_continue = self._scheduler.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE
        if should_continue:
            self._search.on_trial_result(key, result)
        if last or not should_continue:
            self._scheduler.on_trial_complete(None, trial, result)
            self._search.on_trial_complete(key, result)
            del self._trials[key]
        return should_continue


class OptunaEngine:
    """Optuna's ask-and-tell loop as documented: TPE with the default or another of its pruners."""

    def __init__(self, study: Study, pruner: optuna.pruners.BasePruner | None = None):
        sampler = optuna.samplers.TPESampler(seed=study.settings.seed)
        self._study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        self._space, self._base = study.space, study.base
        self._trials: dict[str, optuna.Trial] = {}
        self._worst = WorstSoFar()
        self._suggest = lambda trial: suggest_params(trial, study)

    def ask(self) -> Run | None:
        trial = self._study.ask()
        self._trials[str(trial.number)] = trial
        return Run(str(trial.number), self._suggest(trial))

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        trial, value = self._trials[key], self._worst.of(value)
        trial.report(value, epoch)
        pruned = not last and trial.should_prune()
        if pruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif last:
            self._study.tell(trial, value)
        return not pruned


FREEZE_THAW_PACKAGE = "hearai.search.sampling.freeze_thaw"
"""Imported by name, because not every version has it."""


class FreezeThawEngine:
    """hearai's freeze-thaw sampler: runs pause at its levels, and it decides which train on."""

    def __init__(self, study: Study):
        self._curve_of = import_module(f"{FREEZE_THAW_PACKAGE}.curves").Curve
        engine = import_module(f"{FREEZE_THAW_PACKAGE}.engine")
        self._sampler = engine.FreezeThaw(study.space, study.base, study.max_epochs, seed=study.settings.seed)
        self._base, self._runs = study.base_params(), list[_Thawable]()

    def ask(self) -> Run | None:
        curves = [self._curve_of(**vars(run)) for run in self._runs]
        choice = self._sampler.next(curves) if curves else self._base
        if choice is None:
            return None
        if not isinstance(choice, int):
            self._runs.append(_Thawable(len(self._runs), dict(choice)))
            choice = len(self._runs) - 1
        self._runs[choice].state = "running"
        return Run(str(choice), self._runs[choice].params)

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        run = self._runs[int(key)]
        run.diverged = math.isnan(value)
        if not run.diverged:
            run.values[epoch] = value
        if run.diverged or last:
            run.state = "stopped" if run.diverged else "complete"
        elif epoch in self._sampler.levels:
            run.state = "paused"
        return run.state == "running"


@dataclass
class _Thawable:
    """A run of freeze-thaw."""

    number: int
    params: dict[str, Value]
    values: dict[int, float] = field(default_factory=dict)
    """{epoch: best value so far}"""
    state: str = "running"
    diverged: bool = False
