"""`budget.stop_when: plateau`: when a search ends, by which noise, and that it stays ended."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.config.study_schema import Budget
from hearai.search.budget import BudgetTracker
from hearai.search.early_stopping.plateau import Plateau
from hearai.search.storage.attributes import ENDED_BY
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.trial_store import FINALS, TrialStore
from tests.helpers.suggestions import suggest_x

EPOCHS = 8


@pytest.fixture
def finals(tmp_path: Path) -> Iterator[TrialStore]:
    with open_journal(tmp_path / "finals") as journal:
        yield TrialStore(journal, FINALS, RandomSampler(0), unique=False)


def run(store: TrialStore, value: float, noise: float = 0.0) -> int:
    """A complete trial whose score rises by `noise` in every second epoch of its second half."""
    number = store.propose(suggest_x).number
    for epoch in range(1, EPOCHS + 1):
        steps = max(0, epoch - EPOCHS // 2) // 2
        store.observe(number, epoch, value + noise * steps)
    store.finish(number, TrialState.COMPLETE, value)
    return number


def retrain(finals: TrialStore, source: int, values: list[float]) -> None:
    for seed, value in enumerate(values):
        finals.enqueue({}, {"source": source, "seed": seed})
        finals.finish(finals.propose(lambda _: {}).number, TrialState.COMPLETE, value)


def plateau(search: TrialStore, finals: TrialStore, startup_trials: int = 10) -> Plateau:
    return Plateau(search, finals, startup_trials=startup_trials, epochs=EPOCHS)


def test_a_search_whose_seeds_move_more_than_trials_gain_ends(store: TrialStore, finals: TrialStore) -> None:
    for number in range(15):
        run(store, 0.5 + (number % 5) / 1000)
    retrain(finals, 0, [0.4, 0.5])
    text = plateau(store, finals).reason
    assert text is not None and text.startswith("plateau: 10 more trials are expected to gain 0.00")
    assert text.endswith(", a seed moves 0.071")


def test_a_search_that_still_gains_more_than_seeds_continues(store: TrialStore, finals: TrialStore) -> None:
    for number in range(15):
        run(store, 0.2 + number / 50)
    retrain(finals, 0, [0.400, 0.401])
    assert plateau(store, finals).reason is None


def test_without_repeated_seeds_the_noise_is_that_of_the_curves(store: TrialStore, finals: TrialStore) -> None:
    rng = random.Random(0)
    for _ in range(15):
        run(store, 0.5 + rng.random() / 1000, noise=0.1)
    retrain(finals, 0, [0.4])  # a single seed has no spread
    text = plateau(store, finals).reason
    assert text is not None and text.endswith("a seed moves 0.047")


@pytest.mark.parametrize(("startup_trials", "needed"), [(10, 15), (0, 10), (20, 25)])
def test_enough_trials_beyond_the_random_ones_are_complete(
    store: TrialStore, finals: TrialStore, startup_trials: int, needed: int
) -> None:
    retrain(finals, 0, [0.4, 0.5])
    criterion = plateau(store, finals, startup_trials)
    for _ in range(needed - 1):
        run(store, 0.5)
    assert criterion.reason is None
    run(store, 0.5)
    assert criterion.reason is not None


def test_a_plateau_stays_when_a_running_trial_ends_better(store: TrialStore, finals: TrialStore) -> None:
    retrain(finals, 0, [0.40, 0.41])
    for _ in range(15):
        run(store, 0.5)
    criterion = plateau(store, finals)
    text = criterion.reason
    run(store, 0.9)
    assert text is not None and criterion.reason == text
    assert plateau(store, finals).reason is None, "without a record, the better trial counts"
    store.optuna_study.set_user_attr(ENDED_BY, text)
    assert plateau(store, finals).reason == text
    store.optuna_study.set_user_attr(ENDED_BY, "trial budget (16) used up")
    assert plateau(store, finals).reason is None


def test_running_trials_of_a_search_on_a_plateau_end(store: TrialStore, finals: TrialStore) -> None:
    retrain(finals, 0, [0.4, 0.5])
    tracker = BudgetTracker(Budget(stop_when="plateau"), store, plateau(store, finals))
    for _ in range(15):
        assert not tracker.over_budget(0)
        run(store, 0.5)
    assert tracker.spent == plateau(store, finals).reason and tracker.over_budget(15)


def test_a_study_continues_without_the_criterion(open_store: Callable, tmp_path: Path, finals: TrialStore) -> None:
    with open_store(tmp_path) as store:
        retrain(finals, 0, [0.4, 0.5])
        for _ in range(15):
            run(store, 0.5)
        store.optuna_study.set_user_attr(ENDED_BY, plateau(store, finals).reason)
    with open_store(tmp_path) as store:
        assert BudgetTracker(Budget(stop_when=0.9), store).spent is None
        assert BudgetTracker(Budget(stop_when="plateau"), store, plateau(store, finals)).spent is not None


def test_a_model_of_curves_counts_unfinished_trials(store: TrialStore, finals: TrialStore) -> None:
    """As in a freeze-thaw search, which completes few trials."""
    retrain(finals, 0, [0.4, 0.5])
    asked: list[int] = []

    def gain(trials: int) -> float:
        asked.append(trials)
        return 0.2 if len(asked) == 1 else 0.01

    criterion = Plateau(store, finals, startup_trials=0, epochs=EPOCHS, gain=gain)
    run(store, 0.5)
    assert criterion.reason is None and not asked, "one trial is too few"
    for _ in range(9):
        store.observe(store.propose(suggest_x).number, 1, 0.1)
    assert criterion.reason is None and criterion.reason is None and asked == [10]
    run(store, 0.6)
    assert criterion.reason == "plateau: 10 more trials are expected to gain 0.010, a seed moves 0.071"
