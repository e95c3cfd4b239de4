"""A sampler with early stopping as a policy: who is proposed, who is stopped, and which trial is protected."""

from pathlib import Path

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hearai.search.early_stopping import Asha
from hearai.search.sampling.policy import Stopping, Verdict
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.trial_store import SEARCH, TrialStore
from tests.helpers.suggestions import run_trial, suggest_x_and_y


@pytest.fixture
def store(tmp_path: Path):
    with open_journal(tmp_path) as journal:
        yield TrialStore(journal, SEARCH, RandomSampler(0), unique=True)


def stopping(store: TrialStore, **more: int) -> Stopping:
    """Rungs at epochs 2, 6 and 18."""
    return Stopping(store, suggest_x_and_y, Asha(grace_epochs=2, reduction_factor=3, max_epochs=20), **more)


def test_a_poor_trial_is_stopped_at_a_rung(store: TrialStore) -> None:
    policy = stopping(store)
    assert policy.judge(0, 2, 0.5, over_budget=False) is Verdict.CONTINUE
    assert policy.judge(1, 2, 0.4, over_budget=False) is Verdict.STOP
    assert policy.judge(2, 2, 0.6, over_budget=False) is Verdict.CONTINUE
    assert policy.judge(4, 3, 0.1, over_budget=False) is Verdict.CONTINUE


def test_the_protected_trial_counts_but_is_not_stopped(store: TrialStore) -> None:
    policy = stopping(store, protected=0)
    policy.judge(1, 2, 0.4, over_budget=False)
    assert policy.judge(0, 2, 0.3, over_budget=True) is Verdict.CONTINUE
    assert policy.judge(2, 2, 0.35, over_budget=False) is Verdict.STOP


def test_a_trial_over_budget_is_always_stopped(store: TrialStore) -> None:
    policy = Stopping(store, suggest_x_and_y)
    assert policy.judge(1, 2, 0.9, over_budget=False) is Verdict.CONTINUE
    assert policy.judge(1, 3, 0.9, over_budget=True) is Verdict.STOP


def test_nothing_is_proposed_beyond_the_limit_or_the_budget(store: TrialStore) -> None:
    policy = stopping(store)
    assert policy.propose(room=0, closing=False) is None
    assert policy.propose(room=1, closing=True) is None
    assert policy.propose(room=1, closing=False).number == 0
    store.requeue(0)
    assert policy.propose(room=0, closing=False).number == 0, "it was started before"


def test_finalists_are_the_best_complete_trials(store: TrialStore) -> None:
    for score in (0.8, 0.5, 0.9, 0.7):
        run_trial(store, TrialState.COMPLETE, score)
    run_trial(store, TrialState.PRUNED, 0.95)
    policy = stopping(store, protected=0)
    assert policy.finalists(2) == [2, 3] and policy.contenders(2) == 2
