"""The search engines that are compared, each as its users run it: hearai, Ray's stock pair, and Optuna alone."""

import itertools
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from hearai.benchmarks.simulation import Run
from hearai.config.search_space.domains import Value
from hearai.config.study import Study
from hearai.search.sampling.freeze_thaw.pausing import Pausing
from hearai.search.sampling.policies import build_policy
from hearai.search.sampling.policy import Verdict
from hearai.search.sampling.samplers import build_search_store, distribution_of, suggest_params
from hearai.search.stage import Stage
from hearai.search.storage.attributes import BASE_KIND, KIND, SEARCH_KIND
from hearai.search.storage.trial_store import Proposal
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.searcher import JournalSearcher

UNLIMITED_TRIALS = 1_000_000
"""The limit of trials in a search that ends by its epoch budget."""
POLL_SECONDS = 0.001
"""Between two looks at a policy that is computing."""


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
    """Journal, searcher and policy of `hearai.search`, called as Tune's controller calls them."""

    def __init__(self, study: Study, folder: Path, workers: int, storage: Any):
        self.store = build_search_store(storage, study)
        self.store.enqueue(study.base_params(), {KIND: BASE_KIND})
        stage = Stage(
            self.store,
            lambda trial: suggest_params(trial, study),
            lambda _: study.base,
            limit=UNLIMITED_TRIALS,
            slots=workers,
            policy=build_policy(study, self.store, workers),
        )
        self._policy = stage.policy
        self._searcher, self._stage = JournalSearcher(iter([stage]), self._make_spec), stage
        self._epochs, self._tune_ids = study.max_epochs, map(str, itertools.count())
        self._running: dict[str, str] = {}
        """{key of a run, its trial's number: Tune's id}"""
        self._best: dict[str, float] = {}
        self._folder, self._params = str(folder), dict[int, dict[str, Any]]()

    def _make_spec(self, proposal: Proposal, stage: Stage) -> TrialSpec:
        self._params[proposal.number] = dict(proposal.params)
        return TrialSpec(proposal.number, self._folder, config={}, kind=proposal.user_attrs.get(KIND, SEARCH_KIND))

    def ask(self) -> Run | None:
        tune_id = next(self._tune_ids)
        while (config := self._searcher.suggest(tune_id)) is None and self._searcher.is_undecided:
            time.sleep(POLL_SECONDS)
        if not isinstance(config, dict):
            return None
        number = TrialSpec.from_dict(config).number
        self._running[str(number)] = tune_id
        return Run(str(number), self._params.pop(number))

    def recommended(self) -> Mapping[str, Value] | None:
        """Of a policy with a model of the curves, the config with the best expected final value."""
        if not isinstance(self._policy, Pausing):
            return None
        return self.store[self._policy.expected_best()].params

    def number_of(self, key: str) -> int:
        """The trial number in the journal of a current run."""
        return int(key)

    def tell(self, key: str, epoch: int, value: float, last: bool) -> bool:
        diverged = math.isnan(value)
        value = self._best[key] = self._best.get(key, math.nan) if diverged else value
        result = {"epoch": epoch, "epochs": self._epochs, "objective": value, "best_epoch": epoch}
        result |= {"diverged": float(diverged), "seconds": 0.0}
        tune_id = self._running[key]
        verdict = Verdict.STOP if diverged else self._searcher.judge(tune_id, result)
        while not isinstance(verdict, Verdict):
            time.sleep(POLL_SECONDS)
            verdict = self._searcher.verdicts().get(tune_id, verdict)
        if last or verdict is not Verdict.CONTINUE:
            self._searcher.on_trial_complete(tune_id, result)
            del self._running[key]
        return verdict is Verdict.CONTINUE


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
