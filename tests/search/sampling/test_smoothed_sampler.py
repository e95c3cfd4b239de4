"""What samplers see of a trial: where it came to rest, while everybody else sees its best epoch."""

from pathlib import Path

import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState, create_trial

from hearai.config.study_schema import Sampler
from hearai.search.sampling.samplers import build_sampler
from hearai.search.sampling.smoothed_sampler import SHOWN_BEST, SmoothedSampler, smoothed, worth_showing
from hearai.search.storage.trial_store import SEARCH, TrialStore, open_journal


class Witness(RandomSampler):
    """A sampler that remembers the values it could look at."""

    def infer_relative_search_space(self, study, trial):
        complete = study._get_trials(deepcopy=False, states=(TrialState.COMPLETE,), use_cache=True)
        self.seen = [trial.values for trial in complete]
        return super().infer_relative_search_space(study, trial)


def fill(store: TrialStore) -> None:
    """A trial of ten epochs that got lucky in its eighth, and one that was stopped."""
    for values, state in (([0.1] * 7 + [0.9, 0.3, 0.3], TrialState.COMPLETE), ([0.2, 0.2], TrialState.PRUNED)):
        number = store.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)}).number
        for epoch, value in enumerate(values, start=1):
            store.observe(number, epoch, value)
        store.finish(number, state, max(values) if state == TrialState.COMPLETE else None)


def test_a_sampler_sees_the_mean_of_the_last_third_and_the_journal_keeps_the_best(tmp_path: Path) -> None:
    witness = Witness(seed=0)
    with open_journal(tmp_path) as storage:
        store = TrialStore(storage, SEARCH, SmoothedSampler(witness), unique=True)
        fill(store)
        store.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)})
        assert witness.seen == [[pytest.approx(0.5)]]
        assert store[0].values == [0.9]


def test_stopped_trials_are_left_as_they_are(tmp_path: Path) -> None:
    with open_journal(tmp_path) as storage:
        store = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        fill(store)
        assert smoothed(store[1]) is store[1]


@pytest.mark.parametrize(("name", "smoothed_trial"), [("tpe", True), ("gp", True), ("random", False), ("nsga2", False)])
def test_samplers_that_model_values_are_steadied(name: str, smoothed_trial: bool) -> None:
    sampler: BaseSampler = build_sampler(Sampler(name=name), 0)
    assert isinstance(sampler, SmoothedSampler) == smoothed_trial


def test_of_a_long_search_the_best_the_latest_and_those_in_flight_are_shown() -> None:
    trials = [
        create_trial(state=TrialState.COMPLETE, value=float(i % 700))
        if i != 5
        else create_trial(state=TrialState.RUNNING)
        for i in range(1500)
    ]
    for number, trial in enumerate(trials):
        trial.number = number
    shown = [trial.number for trial in worth_showing(trials)]
    assert shown == sorted(shown) and set(range(1000, 1500)) <= set(shown) and 5 in shown
    older = [number for number in shown if number < 1000 and number != 5]
    assert len(older) == SHOWN_BEST and min(number % 700 for number in older) == 600
    assert worth_showing(trials[:600]) == trials[:600]
