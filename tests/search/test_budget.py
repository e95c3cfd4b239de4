"""Budgets: what ends a search, who may go on, and that all calls count together."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState

from hearai.config.config import build_config
from hearai.config.study_schema import Budget
from hearai.search.budget import BudgetTracker
from hearai.search.stage import Stage
from hearai.search.storage.trial_store import SEARCH, TrialStore, open_journal
from hearai.search.tune.searcher import JournalSearcher


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TrialStore]:
    with open_journal(tmp_path) as storage:
        yield TrialStore(storage, SEARCH, RandomSampler(0), unique=True)


def any_number(trial: Trial) -> dict:
    return {"x": trial.suggest_float("x", 0, 1)}


def searching(store: TrialStore, limit: int = 10, **budget: float) -> tuple[JournalSearcher, Stage]:
    budget_tracker = BudgetTracker(Budget(trials=limit, **budget), store)
    stage = Stage(store, any_number, lambda _: build_config({}), limit=limit, slots=2, budget_tracker=budget_tracker)
    return JournalSearcher(iter([stage]), lambda proposal, _: {"number": proposal.number, "folder": "unused"}), stage


def report(searcher: JournalSearcher, key: str, epoch: int, value: float = 0.5) -> None:
    result = {"epoch": epoch, "epochs": 9, "objective": value, "best_epoch": epoch, "diverged": 0.0, "seconds": 1.0}
    searcher.on_trial_result(key, result)


def end(searcher: JournalSearcher, key: str, epoch: int, value: float = 0.5) -> None:
    result = {"epoch": epoch, "epochs": 9, "objective": value, "best_epoch": epoch, "diverged": 0.0, "seconds": 1.0}
    searcher.on_trial_complete(key, result)


def test_spent_epochs_end_the_search_and_running_trials_keep_their_last_report(store: TrialStore) -> None:
    searcher, stage = searching(store, epochs=4)
    searcher.suggest("a"), searcher.suggest("b")
    for key in "ab":
        report(searcher, key, 1)
        assert not searcher.over_budget(key)
    report(searcher, "a", 2)
    report(searcher, "a", 3)
    assert searcher.over_budget("a") and searcher.over_budget("b")
    assert searcher.suggest("c") is None and stage.ended_by == "the budget of 4 trial-epochs"
    end(searcher, "b", 2, value=0.7)
    assert store[1].state == TrialState.PRUNED and store[1].intermediate_values == {1: 0.5, 2: 0.7}
    assert store[1].user_attrs["cut"] == "the budget of 4 trial-epochs"


def test_a_good_score_ends_the_search_and_who_reached_it_runs_on(store: TrialStore) -> None:
    searcher, stage = searching(store, stop_when=0.9)
    searcher.suggest("a"), searcher.suggest("b")
    report(searcher, "b", 1, value=0.91)
    assert searcher.over_budget("a") and not searcher.over_budget("b")
    assert searcher.suggest("c") is None and stage.ended_by == "the score 0.9, which trial 1 reached"
    end(searcher, "b", 9, value=0.93)
    assert store[1].value == 0.93 and "cut" not in store[1].user_attrs


def test_time_that_is_up_ends_the_search(store: TrialStore) -> None:
    searcher, stage = searching(store, seconds=0.05)
    searcher.suggest("a")
    time.sleep(0.06)
    assert searcher.over_budget("a") and searcher.suggest("b") is None
    assert stage.ended_by == "the time budget of 0.05 s"


def test_the_number_of_trials_ends_the_search_and_cuts_nobody(store: TrialStore) -> None:
    searcher, stage = searching(store, limit=1, epochs=100)
    searcher.suggest("a")
    assert (
        searcher.suggest("b") is None and stage.ended_by == "the budget of 1 trials" and not searcher.over_budget("a")
    )


@pytest.mark.parametrize("budget", [{"epochs": 3}, {"stop_when": 0.5}, {"seconds": 20}])
def test_what_earlier_calls_spent_counts_and_a_raised_budget_goes_on(tmp_path: Path, budget: dict) -> None:
    with open_journal(tmp_path) as storage:
        store = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        searcher, _ = searching(store)
        searcher.suggest("a")
        report(searcher, "a", 1), report(searcher, "a", 2), end(searcher, "a", 3)
        store.add_wall_time(30, slots=2)
    with open_journal(tmp_path) as storage:
        store = TrialStore(storage, SEARCH, RandomSampler(0), unique=True)
        searcher, stage = searching(store, **budget)
        assert not isinstance(searcher.suggest("b"), dict) and stage.ended_by
        more, _ = searching(store, **{name: 2 * amount for name, amount in budget.items()})
        assert isinstance(more.suggest("c"), dict)


def test_an_epoch_reported_again_after_a_kill_counts_once(store: TrialStore) -> None:
    budget_tracker = BudgetTracker(Budget(epochs=10), store)
    for epoch in (1, 2, 2, 3):
        budget_tracker.observe(5, epoch, 0.1)
    assert budget_tracker.epochs == 3
