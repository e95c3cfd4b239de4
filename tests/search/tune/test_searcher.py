"""Which trials the searcher proposes to Tune, and what it records of their ends."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from hearai.config.config import build_config
from hearai.config.study_schema import Budget
from hearai.errors import DataError
from hearai.search.budget import BudgetTracker
from hearai.search.stage import Stage
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.trial_store import Proposal, TrialStore
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.callbacks import ProgressLines
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


def make_spec(proposal: Proposal, stage: Stage) -> TrialSpec:
    """Its study is the stage's."""
    return TrialSpec(
        proposal.number, "unused", {}, study=stage.store.optuna_study.study_name, label=f"{proposal.number:04d}"
    )


def stage_in(suggestion: Any) -> str | None:
    return TrialSpec.from_dict(suggestion).study if isinstance(suggestion, dict) else str(suggestion)


def number_in(suggestion: Any) -> int:
    return TrialSpec.from_dict(suggestion).number


def test_the_wait_for_each_proposal_is_reported(storage: JournalStorage) -> None:
    waits: list[float] = []
    stages = [stage(storage, "search", 2, drain=False, on_proposal=waits.append), stage(storage, "finals", 1)]
    searcher = JournalSearcher(iter(stages), make_spec)
    assert [stage_in(searcher.suggest(i)) for i in "abc"] == ["search", "search", "finals"]
    assert len(waits) == 2 and all(0 < seconds < 60 for seconds in waits), "of the search alone"


def test_a_stage_without_join_lets_the_next_fill_its_slots(storage: JournalStorage) -> None:
    stages = [stage(storage, "search", 2, drain=False), stage(storage, "base", 1), stage(storage, "finals", 1)]
    searcher = JournalSearcher(iter(stages), make_spec)
    assert [stage_in(searcher.suggest(i)) for i in "abc"] == ["search", "search", "base"]
    assert searcher.suggest("d") is None, "the finals wait for all of them"
    searcher.on_trial_complete("a", LAST)
    searcher.on_trial_complete("c", LAST)
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("b", LAST)
    assert stage_in(searcher.suggest("d")) == "finals"
    searcher.on_trial_complete("d", LAST)
    assert searcher.suggest("e") == Searcher.FINISHED
    assert [len(s.store.trials(TrialState.COMPLETE)) for s in stages] == [2, 1, 1]


def test_a_trial_is_recorded_in_its_stage_after_the_next_began(storage: JournalStorage) -> None:
    first, second = stage(storage, "search", 1, drain=False), stage(storage, "base", 1)
    searcher = JournalSearcher(iter([first, second]), make_spec)
    searcher.suggest("a"), searcher.suggest("b")
    assert searcher.stage_of("a") is first and searcher.stage_of("b") is second
    searcher.on_trial_result("a", {**LAST, "epoch": 1})
    searcher.on_trial_complete("a", {**LAST, "objective": 0.7})
    assert first.store[0].value == 0.7 and first.store[0].intermediate_values == {1: 0.5, 2: 0.7}
    assert second.store[0].state is TrialState.RUNNING


# -- failures ---------------------------------------------------------------------------------------

NODE_DIED, CRASHED = Failure("its node died", "node"), Failure("segmentation fault")


def fail(searcher: JournalSearcher, tune_id: str, failure: Failure) -> None:
    """As the scheduler and then Tune report it."""
    searcher.on_trial_failure(tune_id, failure)
    searcher.on_trial_complete(tune_id, error=True)


def test_a_crash_is_the_result_of_a_trial(storage: JournalStorage) -> None:
    only = stage(storage, "search", 1)
    searcher = JournalSearcher(iter([only]), make_spec)
    searcher.suggest("a")
    fail(searcher, "a", CRASHED)
    assert searcher.suggest("b") == Searcher.FINISHED
    assert (only.store[0].state, only.store[0].user_attrs["reason"]) == (TrialState.FAIL, CRASHED.reason)


def test_a_trial_whose_node_died_is_proposed_again_first(storage: JournalStorage) -> None:
    only = stage(storage, "search", 3)
    searcher = JournalSearcher(iter([only]), make_spec)
    first = searcher.suggest("a")
    searcher.on_trial_result("a", {**LAST, "epoch": 1})
    searcher.suggest("b")
    fail(searcher, "a", NODE_DIED)
    assert searcher.suggest("c") == first
    assert number_in(searcher.suggest("d")) == 2
    assert only.store[0].intermediate_values == {1: 0.5} and only.store[0].user_attrs["lost"] == 1
    for tune_id in "bcd":
        searcher.on_trial_complete(tune_id, LAST)
    assert len(only.store.trials(TrialState.COMPLETE)) == 3


def test_the_fourth_lost_node_is_a_failure(storage: JournalStorage) -> None:
    only = stage(storage, "search", 1)
    searcher = JournalSearcher(iter([only]), make_spec)
    for tune_id in "abcd":
        assert number_in(searcher.suggest(tune_id)) == 0
        fail(searcher, tune_id, NODE_DIED)
    assert searcher.suggest("e") == Searcher.FINISHED
    assert only.store[0].state is TrialState.FAIL
    assert only.store[0].user_attrs["reason"] == "its node died, 4 times"


def test_lost_nodes_and_preemptions_have_their_own_lines(storage: JournalStorage) -> None:
    printed: list[str] = []
    searcher = JournalSearcher(iter([stage(storage, "search", 1)]), make_spec)
    lines = ProgressLines(printed.append, searcher, "1 CPU")
    for tune_id, failure in (("a", NODE_DIED), ("b", Failure("it is reclaimed", "preemption")), ("c", NODE_DIED)):
        trial = Trial("run", config=searcher.suggest(tune_id), trial_id=tune_id, stub=True)
        lines.on_trial_start(0, [], trial)
        fail(searcher, tune_id, failure)
        lines.on_trial_error(0, [], trial)
    lost = "  0000 lost its node; it will resume from its last epoch on another node"
    assert printed == [lost, "  0000 preempted; it will resume from its last step on another node", lost]


def test_the_last_trial_is_run_again_even_when_over_budget(storage: JournalStorage) -> None:
    first, second = stage(storage, "search", 1, drain=False), stage(storage, "base", 1)
    first.budget_tracker = BudgetTracker(Budget(seconds=0.05), first.store)
    searcher = JournalSearcher(iter([first, second]), make_spec)
    searcher.suggest("a"), searcher.suggest("b")
    searcher.on_trial_complete("b", LAST)
    assert searcher.suggest("c") is None, "trial a may still lose its node"
    time.sleep(0.06)
    fail(searcher, "a", NODE_DIED)
    assert stage_in(searcher.suggest("d")) == "search"
    searcher.on_trial_complete("d", LAST)
    assert searcher.suggest("e") == Searcher.FINISHED


def test_a_trial_that_tune_gave_up_is_proposed_again(storage: JournalStorage) -> None:
    searcher = JournalSearcher(iter([stage(storage, "search", 1)]), make_spec)
    searcher.suggest("a")
    searcher.on_trial_lost("a")
    searcher.on_trial_lost("a")
    assert number_in(searcher.suggest("b")) == 0
    assert searcher.suggest("c") is None


def test_a_full_disk_ends_the_search_and_fails_no_trial(storage: JournalStorage) -> None:
    only = stage(storage, "search", 3)
    searcher = JournalSearcher(iter([only]), make_spec)
    searcher.suggest("a"), searcher.suggest("b")
    fail(searcher, "a", Failure("state.pt: its disk is full", "disk"))
    fail(searcher, "b", CRASHED)
    assert searcher.closed and "its disk is full" in str(searcher.trouble)
    assert searcher.suggest("c") == Searcher.FINISHED
    assert len(only.store.trials(TrialState.RUNNING)) == 2, "they resume when there is room again"


def test_lost_inputs_end_the_search_and_fail_no_trial(storage: JournalStorage) -> None:
    def check_inputs(reason: str) -> None:
        if lost:
            raise DataError("data: the dataset is gone")

    only, lost = stage(storage, "search", 9), False
    searcher = JournalSearcher(iter([only]), make_spec, check_inputs)
    searcher.suggest("a"), searcher.suggest("b")
    fail(searcher, "a", CRASHED)
    lost = True
    fail(searcher, "b", CRASHED)
    assert searcher.closed and "the dataset is gone" in str(searcher.trouble)
    assert [trial.state for trial in only.store.trials()] == [TrialState.FAIL, TrialState.RUNNING]


def test_a_diverged_trial_is_pruned_with_its_reason(storage: JournalStorage) -> None:
    only = stage(storage, "search", 1)
    searcher = JournalSearcher(iter([only]), make_spec)
    searcher.suggest("a")
    searcher.on_trial_complete("a", {**LAST, "epoch": 1, "diverged": 1.0, "reason": "diverged in epoch 1, step 3 of 5"})
    trial = only.store[0]
    assert trial.state == TrialState.PRUNED and trial.user_attrs["diverged"]
    assert trial.user_attrs["reason"] == "diverged in epoch 1, step 3 of 5"
