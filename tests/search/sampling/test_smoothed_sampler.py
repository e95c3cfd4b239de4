"""Samplers see the mean of a trial's last epochs; the journal keeps the best epoch."""

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState, create_trial

from hearai.config.study_schema import Sampler
from hearai.search.sampling.samplers import build_sampler
from hearai.search.sampling.smoothed_sampler import SHOWN_BEST, SmoothedSampler, shown_trials, smoothed
from hearai.search.storage.trial_store import TrialStore
from tests.helpers.suggestions import suggest_x


class RecordingSampler(RandomSampler):
    """A random sampler that records the values that it sees."""

    def infer_relative_search_space(self, study, trial):
        complete = study._get_trials(deepcopy=False, states=(TrialState.COMPLETE,), use_cache=True)
        self.seen = [trial.values for trial in complete]
        return super().infer_relative_search_space(study, trial)


def run_two_trials(store: TrialStore) -> None:
    """A complete trial whose eighth of ten epochs is an outlier, and a pruned one."""
    for values, state in (([0.1] * 7 + [0.9, 0.3, 0.3], TrialState.COMPLETE), ([0.2, 0.2], TrialState.PRUNED)):
        number = store.propose(suggest_x).number
        for epoch, value in enumerate(values, start=1):
            store.observe(number, epoch, value)
        store.finish(number, state, max(values) if state == TrialState.COMPLETE else None)


def test_samplers_see_the_mean_of_the_last_third(open_store: Callable, tmp_path: Path) -> None:
    sampler = RecordingSampler(seed=0)
    with open_store(tmp_path, SmoothedSampler(sampler)) as store:
        run_two_trials(store)
        store.propose(suggest_x)
        assert sampler.seen == [[pytest.approx(0.5)]]
        assert store[0].values == [0.9]


def test_pruned_trials_are_not_smoothed(store: TrialStore) -> None:
    run_two_trials(store)
    assert smoothed(store[1]) is store[1]


@pytest.mark.parametrize(("name", "is_smoothed"), [("tpe", True), ("gp", True), ("random", False), ("nsga2", False)])
def test_samplers_that_model_the_objective_are_smoothed(name: str, is_smoothed: bool) -> None:
    sampler: BaseSampler = build_sampler(Sampler(name=name), 0)
    assert isinstance(sampler, SmoothedSampler) == is_smoothed


def test_of_a_long_search_only_some_trials_are_shown() -> None:
    trials = [
        create_trial(state=TrialState.COMPLETE, value=float(i % 700))
        if i != 5
        else create_trial(state=TrialState.RUNNING)
        for i in range(1500)
    ]
    for number, trial in enumerate(trials):
        trial.number = number
    shown = [trial.number for trial in shown_trials(trials)]
    assert shown == sorted(shown) and set(range(1000, 1500)) <= set(shown) and 5 in shown
    older = [number for number in shown if number < 1000 and number != 5]
    assert len(older) == SHOWN_BEST and min(number % 700 for number in older) == 600
    assert shown_trials(trials[:600]) == trials[:600]
