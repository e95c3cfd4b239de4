"""Budgets: what ends a search, which trials may continue, and that all calls count together."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hearai.config.config import build_config
from hearai.config.study_schema import Budget
from hearai.search.budget import BudgetTracker
from hearai.search.sampling.policy import Verdict
from hearai.search.stage import Stage
from hearai.search.storage.trial_store import TrialStore
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.searcher import JournalSearcher
from tests.helpers.suggestions import suggest_x


def search(store: TrialStore, limit: int = 10, **budget: float) -> tuple[JournalSearcher, Stage]:
    budget_tracker = BudgetTracker(Budget(trials=limit, **budget), store)
    stage = Stage(store, suggest_x, lambda _: build_config({}), limit=limit, slots=2, budget_tracker=budget_tracker)
    return JournalSearcher(iter([stage]), lambda proposal, _: TrialSpec(proposal.number, "unused", {})), stage


def report(searcher: JournalSearcher, key: str, epoch: int, value: float = 0.5) -> None:
    result = {"epoch": epoch, "epochs": 9, "objective": value, "best_epoch": epoch, "diverged": 0.0, "seconds": 1.0}
    searcher.on_trial_result(key, result)


def is_over_budget(searcher: JournalSearcher, key: str) -> bool:
    """Whether the trial is stopped at its next report; this one repeats its first."""
    result = {"epoch": 1, "epochs": 9, "objective": 0.5}
    return searcher.judge(key, result) is Verdict.STOP


def end(searcher: JournalSearcher, key: str, epoch: int, value: float = 0.5) -> None:
    result = {"epoch": epoch, "epochs": 9, "objective": value, "best_epoch": epoch, "diverged": 0.0, "seconds": 1.0}
    searcher.on_trial_complete(key, result)


def test_a_used_up_epoch_budget_stops_running_trials(store: TrialStore) -> None:
    searcher, stage = search(store, epochs=4)
    searcher.suggest("a"), searcher.suggest("b")
    for key in "ab":
        report(searcher, key, 1)
        assert not is_over_budget(searcher, key)
    report(searcher, "a", 2)
    report(searcher, "a", 3)
    assert is_over_budget(searcher, "a") and is_over_budget(searcher, "b")
    assert searcher.suggest("c") is None and stage.ended_by == "trial-epoch budget (4) used up"
    end(searcher, "b", 2, value=0.7)
    assert store[1].state == TrialState.PRUNED and store[1].intermediate_values == {1: 0.5, 2: 0.7}
    assert store[1].user_attrs["cut"] == "trial-epoch budget (4) used up"


def test_the_trial_that_reaches_the_target_score_continues(store: TrialStore) -> None:
    searcher, stage = search(store, stop_when=0.9)
    searcher.suggest("a"), searcher.suggest("b")
    report(searcher, "b", 1, value=0.91)
    assert is_over_budget(searcher, "a") and not is_over_budget(searcher, "b")
    assert searcher.suggest("c") is None and stage.ended_by == "target score 0.9 reached by trial 1"
    end(searcher, "b", 9, value=0.93)
    assert store[1].value == 0.93 and "cut" not in store[1].user_attrs


def test_a_used_up_time_budget_ends_the_search(store: TrialStore) -> None:
    searcher, stage = search(store, seconds=0.05)
    searcher.suggest("a")
    time.sleep(0.06)
    assert is_over_budget(searcher, "a") and searcher.suggest("b") is None
    assert stage.ended_by == "time budget (0.05 s) used up"


def test_a_used_up_trial_budget_stops_no_running_trial(store: TrialStore) -> None:
    searcher, stage = search(store, limit=1, epochs=100)
    searcher.suggest("a")
    assert (
        searcher.suggest("b") is None
        and stage.ended_by == "trial budget (1) used up"
        and not is_over_budget(searcher, "a")
    )


@pytest.mark.parametrize("budget", [{"epochs": 3}, {"stop_when": 0.5}, {"seconds": 20}])
def test_earlier_calls_count_and_a_raised_budget_continues(open_store: Callable, tmp_path: Path, budget: dict) -> None:
    with open_store(tmp_path) as store:
        searcher, _ = search(store)
        searcher.suggest("a")
        report(searcher, "a", 1), report(searcher, "a", 2), end(searcher, "a", 3)
        store.add_wall_time(30, slots=2)
    with open_store(tmp_path) as store:
        searcher, stage = search(store, **budget)
        assert not isinstance(searcher.suggest("b"), dict) and stage.ended_by
        more, _ = search(store, **{name: 2 * amount for name, amount in budget.items()})
        assert isinstance(more.suggest("c"), dict)


def test_an_epoch_reported_again_after_a_kill_counts_once(store: TrialStore) -> None:
    budget_tracker = BudgetTracker(Budget(epochs=10), store)
    for epoch in (1, 2, 2, 3):
        budget_tracker.observe(5, epoch, 0.1)
    assert budget_tracker.epochs == 3


@pytest.mark.parametrize(("seconds", "text"), [(7200, "2 h"), (1800, "30 min"), (90, "90 s"), (0.05, "0.05 s")])
def test_the_time_budget_is_named_in_its_unit(store: TrialStore, seconds: float, text: str) -> None:
    store.add_wall_time(2 * seconds, slots=1)
    assert BudgetTracker(Budget(seconds=seconds), store).spent == f"time budget ({text}) used up"
