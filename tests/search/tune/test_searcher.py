"""What Tune is handed, and when."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from ray.tune.search import Searcher

from hearai.config.config import build_config
from hearai.config.study_schema import Budget
from hearai.search.budget import BudgetTracker
from hearai.search.stage import Stage
from hearai.search.storage.trial_store import Proposal, TrialStore, open_journal
from hearai.search.tune.callbacks import LiveLines
from hearai.search.tune.failures import Failure
from hearai.search.tune.searcher import JournalSearcher

LAST = {"epoch": 2, "epochs": 2, "objective": 0.5, "best_epoch": 1, "diverged": 0.0, "seconds": 1.0}


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[JournalStorage]:
    with open_journal(tmp_path) as storage:
        yield storage


def stage(storage: JournalStorage, name: str, limit: int, **more: Any) -> Stage:
    store = TrialStore(storage, name, RandomSampler(0), unique=False)
    return Stage(store, lambda _: {}, lambda _: build_config({}), limit, slots=2, **more)


def payload(proposal: Proposal, stage: Stage) -> dict[str, Any]:
    return {"where": stage.store.optuna.study_name, "number": proposal.number, "folder": "unused"}


def where(answer: Any) -> str:
    return answer["where"] if isinstance(answer, dict) else str(answer)


def test_a_stage_that_does_not_join_lets_the_next_fill_its_slots(storage: JournalStorage) -> None:
    stages = [stage(storage, "search", 2, joins=False), stage(storage, "base", 1), stage(storage, "finals", 1)]
    searcher = JournalSearcher(iter(stages), payload)
    assert [where(searcher.suggest(i)) for i in "abc"] == ["search", "search", "base"]
    assert searcher.suggest("d") is None, "the finals wait for all of them"
    searcher.on_trial_complete("a", LAST)
    searcher.on_trial_complete("c", LAST)
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("b", LAST)
    assert where(searcher.suggest("d")) == "finals"
    searcher.on_trial_complete("d", LAST)
    assert searcher.suggest("e") == Searcher.FINISHED
    assert [len(s.store.trials(TrialState.COMPLETE)) for s in stages] == [2, 1, 1]


def test_a_trial_is_told_in_its_own_stage_after_the_next_has_begun(storage: JournalStorage) -> None:
    first, second = stage(storage, "search", 1, joins=False), stage(storage, "base", 1)
    searcher = JournalSearcher(iter([first, second]), payload)
    searcher.suggest("a"), searcher.suggest("b")
    assert searcher.stage_of("a") is first and searcher.stage_of("b") is second
    searcher.on_trial_result("a", {**LAST, "epoch": 1})
    searcher.on_trial_complete("a", {**LAST, "objective": 0.7})
    assert first.store[0].value == 0.7 and first.store[0].intermediate_values == {1: 0.5, 2: 0.7}
    assert second.store[0].state is TrialState.RUNNING


# -- deaths -----------------------------------------------------------------------------------------

GONE, OWN = Failure("its machine died", "machine"), Failure("segmentation fault")


def fail(searcher: JournalSearcher, tune_id: str, failure: Failure) -> None:
    """As the scheduler and then Tune report it."""
    searcher.on_trial_failure(tune_id, failure)
    searcher.on_trial_complete(tune_id, error=True)


def test_a_trials_own_death_is_its_result(storage: JournalStorage) -> None:
    only = stage(storage, "search", 1)
    searcher = JournalSearcher(iter([only]), payload)
    searcher.suggest("a")
    fail(searcher, "a", OWN)
    assert searcher.suggest("b") == Searcher.FINISHED
    assert (only.store[0].state, only.store[0].user_attrs["reason"]) == (TrialState.FAIL, OWN.reason)


def test_a_trial_whose_machine_died_is_proposed_again_before_others_as_it_was(storage: JournalStorage) -> None:
    only = stage(storage, "search", 3)
    searcher = JournalSearcher(iter([only]), payload)
    first = searcher.suggest("a")
    searcher.on_trial_result("a", {**LAST, "epoch": 1})
    searcher.suggest("b")
    fail(searcher, "a", GONE)
    assert searcher.suggest("c") == first
    assert searcher.suggest("d")["number"] == 2
    assert only.store[0].intermediate_values == {1: 0.5} and only.store[0].user_attrs["lost"] == 1
    for tune_id in "bcd":
        searcher.on_trial_complete(tune_id, LAST)
    assert len(only.store.trials(TrialState.COMPLETE)) == 3


def test_after_three_lost_machines_the_fourth_is_a_failure(storage: JournalStorage) -> None:
    only = stage(storage, "search", 1)
    searcher = JournalSearcher(iter([only]), payload)
    for tune_id in "abcd":
        assert searcher.suggest(tune_id)["number"] == 0
        fail(searcher, tune_id, GONE)
    assert searcher.suggest("e") == Searcher.FINISHED
    assert only.store[0].state is TrialState.FAIL
    assert only.store[0].user_attrs["reason"] == "its machine died, 4 times"


def test_each_time_that_a_trial_leaves_a_machine_is_told_as_what_it_was(storage: JournalStorage) -> None:
    said: list[str] = []
    searcher = JournalSearcher(iter([stage(storage, "search", 1)]), payload)
    lines = LiveLines(said.append, searcher)
    for tune_id, failure in (("a", GONE), ("b", Failure("it is reclaimed", "notice")), ("c", GONE)):
        config = searcher.suggest(tune_id) | {"label": "0000"}
        trial = SimpleNamespace(trial_id=tune_id, config=config)  # Ray's, as far as it is read
        lines.on_trial_start(0, [], trial)
        fail(searcher, tune_id, failure)
        lines.on_trial_error(0, [], trial)
    lost = "  0000 lost its machine: it goes on from its last epoch elsewhere"
    assert said == [lost, "  0000 is told to leave its machine: it goes on from its last step elsewhere", lost]


def test_the_last_trial_of_all_is_run_again_too_in_its_own_stage_and_when_the_time_is_up(
    storage: JournalStorage,
) -> None:
    first, second = stage(storage, "search", 1, joins=False), stage(storage, "base", 1)
    first.budget_tracker = BudgetTracker(Budget(seconds=0.05), first.store)
    searcher = JournalSearcher(iter([first, second]), payload)
    searcher.suggest("a"), searcher.suggest("b")
    searcher.on_trial_complete("b", LAST)
    assert searcher.suggest("c") is None, "trial a may yet die with its machine"
    time.sleep(0.06)
    fail(searcher, "a", GONE)
    assert where(searcher.suggest("d")) == "search"
    searcher.on_trial_complete("d", LAST)
    assert searcher.suggest("e") == Searcher.FINISHED


def test_a_trial_that_tune_gave_up_before_it_began_is_proposed_again(storage: JournalStorage) -> None:
    searcher = JournalSearcher(iter([stage(storage, "search", 1)]), payload)
    searcher.suggest("a")
    searcher.on_trial_lost("a")
    searcher.on_trial_lost("a")
    assert searcher.suggest("b")["number"] == 0
    assert searcher.suggest("c") is None


def test_a_full_disk_is_no_trials_fault_and_ends_the_search(storage: JournalStorage) -> None:
    only = stage(storage, "search", 3)
    searcher = JournalSearcher(iter([only]), payload)
    searcher.suggest("a"), searcher.suggest("b")
    fail(searcher, "a", Failure("state.pt: its disk is full", "disk"))
    fail(searcher, "b", OWN)
    assert searcher.closed and "its disk is full" in str(searcher.trouble)
    assert searcher.suggest("c") == Searcher.FINISHED
    assert len(only.store.trials(TrialState.RUNNING)) == 2, "they go on when there is room again"
