"""Tune's scheduler: what it tells Tune after a report, and later for trials that the search was undecided about."""

from collections.abc import Mapping
from typing import Any

import pytest
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from hearai.search.sampling.policy import UNDECIDED, Undecided, Verdict
from hearai.search.trial.spec import TrialSpec
from hearai.search.tune.scheduler import EpochScheduler


class Search:
    """Has one opinion, now or later."""

    def __init__(self, now: Verdict | Undecided, later: Mapping[str, Verdict] | None = None):
        self.now, self.later, self.asked = now, dict(later or {}), 0

    def judge(self, trial_id: str, result: Mapping[str, Any]) -> Verdict | Undecided:
        self.asked += 1
        return self.now

    def verdicts(self) -> dict[str, Verdict]:
        decided, self.later = self.later, {}
        return decided


class Controller:
    """Records what Tune would do."""

    def __init__(self) -> None:
        self.actions: list[tuple[str, str]] = []

    def _execute_action(self, trial: Trial, decision: str) -> None:
        self.actions.append((trial.trial_id, decision))

    def get_trials(self) -> list[Trial]:
        return []


def trial_of(trial_id: str = "a") -> Trial:
    return Trial("run", config=TrialSpec(1, "unused", {}).to_dict(), trial_id=trial_id, stub=True)


def decision(scheduler: EpochScheduler, **more: float) -> str:
    return scheduler.on_trial_result(None, trial_of(), {"epoch": 2, "objective": 0.5, "diverged": 0.0, **more})


@pytest.mark.parametrize(
    ("verdict", "action"),
    [
        (Verdict.CONTINUE, TrialScheduler.CONTINUE),
        (Verdict.STOP, TrialScheduler.STOP),
        (Verdict.PAUSE, TrialScheduler.STOP),
        (UNDECIDED, TrialScheduler.NOOP),
    ],
    ids=str,
)
def test_the_verdict_of_the_search_becomes_an_action_of_tune(verdict: Verdict | Undecided, action: str) -> None:
    assert decision(EpochScheduler(Search(verdict))) == action


def test_a_diverged_trial_stops_without_a_question() -> None:
    search = Search(Verdict.CONTINUE)
    assert decision(EpochScheduler(search), diverged=1.0) == TrialScheduler.STOP and search.asked == 0


def test_a_report_without_an_epoch_is_ignored() -> None:
    search = Search(Verdict.STOP)
    scheduler = EpochScheduler(search)
    assert scheduler.on_trial_result(None, trial_of(), {"done": True}) == TrialScheduler.CONTINUE and search.asked == 0


@pytest.mark.parametrize("verdict", [Verdict.CONTINUE, Verdict.PAUSE], ids=str)
def test_a_trial_waits_until_the_search_has_decided(verdict: Verdict) -> None:
    search, controller = Search(UNDECIDED), Controller()
    scheduler = EpochScheduler(search)
    decision(scheduler)
    scheduler.choose_trial_to_run(controller)
    assert not controller.actions
    search.later = {"a": verdict}
    scheduler.choose_trial_to_run(controller)
    expected = TrialScheduler.CONTINUE if verdict is Verdict.CONTINUE else TrialScheduler.STOP
    assert controller.actions == [("a", expected)]


def test_a_verdict_on_a_trial_that_has_died_meanwhile_is_ignored() -> None:
    search, controller = Search(UNDECIDED, later={"a": Verdict.CONTINUE}), Controller()
    scheduler = EpochScheduler(search)
    decision(scheduler)
    scheduler.on_trial_error(controller, trial_of())
    scheduler.choose_trial_to_run(controller)
    assert not controller.actions


def test_tune_acts_later_through_a_method_that_it_still_has() -> None:
    assert callable(TuneController._execute_action)
