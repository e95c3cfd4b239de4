"""The cost of a trial and of a search, from records that are easy to check."""

import pytest

from hearai.benchmarks.speed.costs import Cost
from hearai.benchmarks.speed.documented_way import DocumentedSearch, summary
from hearai.benchmarks.speed.launch import launch_of
from hearai.benchmarks.speed.measured_trials import EPOCHS, LAUNCH_RULES, TrialRecord
from hearai.benchmarks.speed.search_cost import Rates, Schedule, Shared, cost_report, demo_schedule
from hearai.errors import UserError
from hearai.search.trial import one_worker
from hearai.training import fit
from hearai.training.setup import cross_validation


def record(start: float, *, pid: int = 1) -> TrialRecord:
    """A trial of 10 s: 2 epochs of 3 s, a checkpoint of 1 s for each, and 2 s for the model; 5 s of CPU time."""
    parts = {EPOCHS: 6.0, "last checkpoint": 2.0, "model": 2.0}
    return TrialRecord(pid, start, start + 10, 5.0, parts, epochs=2, cpu_parts={EPOCHS: 2.0, "model": 1.0})


def test_the_launch_is_what_is_not_training_of_later_trials() -> None:
    launch = launch_of([record(0), record(10.5), record(21), record(3, pid=2)])
    assert launch.trials == 2 and launch.between == 0.5
    assert launch.parts == {"last checkpoint": 2.0, "model": 2.0} and launch.seconds == 4.5
    assert launch.cpu_parts == {"model": 1.0}


def test_no_rule_takes_the_whole_trial_for_one_of_its_parts() -> None:
    files = [module.__file__ or "" for module in (one_worker, cross_validation, fit)]
    assert not [rule for rule in LAUNCH_RULES if not rule[2] and any(rule[1] in file for file in files)]


def test_a_launch_needs_a_process_that_ran_two_trials() -> None:
    with pytest.raises(UserError, match="--trials: no process ran two trials"):
        launch_of([record(0), record(0, pid=2)])


def test_our_epoch_has_its_checkpoint_and_the_rest_is_overhead() -> None:
    rates = Rates.of_ours([record(0), record(11), record(22)], later=Cost(22.0, 12.0))
    assert rates.epoch == Cost(4.0, 2.0)
    assert rates.overhead == Cost(3.0, 2.0)  # 22 s for two trials, 8 s of each in its epochs


def test_steps_of_the_documented_way_are_scaled_to_an_epoch() -> None:
    one = {"wall": 2.0, "cpu": 1.0}
    trial = {"start": 105.0, "steps": [6, 1], "train": [one, one], "val": [one, one], "save": [one, one]}
    found = summary(Cost(40.0, 20.0), [trial, {**trial, "start": 150.0}], started=100.0, steps=2)
    assert found == DocumentedSearch(2, 5.0, overhead=Cost(28.0, 14.0), epoch=Cost(10.0, 5.0))


def test_a_search_costs_its_trials_and_its_epochs() -> None:
    documented, ours = Rates(Cost(30, 20), Cost(8, 4)), Rates(Cost(1, 1), Cost(0.5, 0.25))
    assert documented.search(Schedule(trials=10, epochs=100)) == Cost(1100, 600)
    report = cost_report([(documented, ours)], Schedule(10, 100), Shared(Cost(100, 65), Cost(40, 30)), steps=2)
    ratios = report.ratios()
    assert ratios["search phase"] == pytest.approx(600 / 35)
    assert ratios["with pre-training, features"] == pytest.approx(665 / 130)
    assert ratios["an epoch"] == 16 and ratios["overhead of a trial"] == 20


@pytest.mark.slow
def test_early_stopping_leaves_fewer_epochs() -> None:
    schedule = demo_schedule(8)
    assert schedule.trials == 8 and 8 * 10 <= schedule.epochs < 8 * 20
