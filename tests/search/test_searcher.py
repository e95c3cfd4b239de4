"""What Tune is handed, and when."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from ray.tune.search import Searcher

from hearai.config import build_config
from hearai.search.journal import Ledger, Proposal, open_journal
from hearai.search.searcher import JournalSearcher, Stage

LAST = {"epoch": 2, "epochs": 2, "objective": 0.5, "best_epoch": 1, "diverged": 0.0, "seconds": 1.0}


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[JournalStorage]:
    with open_journal(tmp_path) as storage:
        yield storage


def stage(storage: JournalStorage, name: str, limit: int, **more: Any) -> Stage:
    ledger = Ledger(storage, name, RandomSampler(0), unique=False)
    return Stage(ledger, lambda _: {}, lambda _: build_config({}), limit, slots=2, **more)


def payload(proposal: Proposal, stage: Stage) -> dict[str, Any]:
    return {"where": stage.ledger.optuna.study_name, "number": proposal.number, "folder": "unused"}


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
    assert [len(s.ledger.trials(TrialState.COMPLETE)) for s in stages] == [2, 1, 1]


def test_a_trial_is_told_in_its_own_stage_after_the_next_has_begun(storage: JournalStorage) -> None:
    first, second = stage(storage, "search", 1, joins=False), stage(storage, "base", 1)
    searcher = JournalSearcher(iter([first, second]), payload)
    searcher.suggest("a"), searcher.suggest("b")
    assert searcher.stage_of("a") is first and searcher.stage_of("b") is second
    searcher.on_trial_result("a", {**LAST, "epoch": 1})
    searcher.on_trial_complete("a", {**LAST, "objective": 0.7})
    assert first.ledger[0].value == 0.7 and first.ledger[0].intermediate_values == {1: 0.5, 2: 0.7}
    assert second.ledger[0].state is TrialState.RUNNING
