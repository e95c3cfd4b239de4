"""What stopping from an earlier epoch would have saved and lost, on searches small enough to work out by hand."""

import random

import pytest

from hearai.search.early_stopping.counterfactual import RecordedTrial, replay_early_stopping
from hearai.search.early_stopping.stoppers import Asha


def trial(number: int, values: list[float], *, complete: bool = True, stopped: bool = False) -> RecordedTrial:
    return RecordedTrial(number, dict(enumerate(values, start=1)), complete, stopped)


def replay(*trials: RecordedTrial, factor: int = 2, epochs: int = 4):
    return replay_early_stopping(trials, reduction_factor=factor, max_epochs=epochs, protected=0)


BASE = trial(0, [0.1, 0.2, 0.3, 0.4])
FALLING = [trial(number, [0.9 - number / 10] * 4) for number in range(1, 5)]


def test_saved_epochs_and_kept_trials_of_each_candidate() -> None:
    first, second, third = replay(BASE, *FALLING).outcomes
    # From epoch 1: trial 1 (0.8) beats the base config; 2 (0.7) is second of three and rung 1 keeps two; 3 (0.6) is
    # third of four; 4 (0.5) is fourth of five, of which three are kept. Rung 2: trial 2 is second of three.
    assert (first.grace_epochs, first.kept, first.saved) == (1, [0, 1, 2], 6 / 20)
    assert (second.grace_epochs, second.kept, second.saved) == (2, [0, 1, 2], 4 / 20)
    assert (third.grace_epochs, third.kept, third.saved) == (3, [0, 1, 2], 2 / 20)


def test_a_late_starter_is_lost_from_an_early_epoch_only() -> None:
    late = trial(5, [0.0, 0.0, 0.85, 0.9])
    outcomes = replay(BASE, *FALLING, late).outcomes
    assert {outcome.grace_epochs: 5 in outcome.kept for outcome in outcomes} == {1: False, 2: False, 3: True}


def test_the_base_config_is_never_stopped() -> None:
    best = [trial(number, [0.5 + number / 10] * 4) for number in range(1, 5)]
    assert all(0 in outcome.kept for outcome in replay(*best, trial(0, [0.0] * 4)).outcomes)


def test_trials_are_replayed_in_the_order_of_their_numbers() -> None:
    assert replay(*reversed([BASE, *FALLING])) == replay(BASE, *FALLING)


def test_only_epochs_before_the_first_real_stop_are_judged() -> None:
    stopped = trial(5, [0.0, 0.0, 0.0], complete=False, stopped=True)
    outcomes = replay(BASE, *FALLING, stopped).outcomes
    assert [outcome.grace_epochs for outcome in outcomes] == [1, 2]
    assert outcomes[0].saved == pytest.approx((6 + 2) / 23)


def test_a_trial_that_failed_or_runs_does_not_limit_the_epochs() -> None:
    running = trial(5, [0.0], complete=False)
    assert [outcome.grace_epochs for outcome in replay(BASE, *FALLING, running).outcomes] == [1, 2, 3]


@pytest.mark.parametrize(
    ("trials", "note"),
    [
        ([], "no trial is complete; 5 are needed"),
        ([BASE], "only 1 trial is complete; 5 are needed"),
        ([BASE, *FALLING[1:]], "only 4 trials are complete; 5 are needed"),
        (
            [BASE, *FALLING, trial(5, [0.0], complete=False, stopped=True)],
            "trials were stopped after epoch 1 already",
        ),
        ([BASE, *FALLING, trial(5, [], complete=False, stopped=True)], "trials were stopped after epoch 0 already"),
    ],
)
def test_what_is_unknown_is_said(trials: list[RecordedTrial], note: str) -> None:
    assert replay(*trials).outcomes == () and replay(*trials).note == note


def test_trials_of_one_epoch_cannot_be_stopped_earlier() -> None:
    trials = [trial(number, [0.5]) for number in range(5)]
    assert replay(*trials, epochs=1).note == "trials have one epoch"


def test_complete_trials_without_recorded_epochs_save_nothing() -> None:
    outcomes = replay(*(trial(number, []) for number in range(5))).outcomes
    assert {outcome.saved for outcome in outcomes} == {0.0}


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_replay_decides_as_asha_does(factor: int) -> None:
    rng = random.Random(factor)
    trials = [trial(number, sorted(rng.choices(range(30), k=12))) for number in range(40)]
    for outcome in replay(*trials, factor=factor, epochs=12).outcomes:
        stopper = Asha(grace_epochs=outcome.grace_epochs, reduction_factor=factor, max_epochs=12)
        epochs = 0
        for one in trials:
            for epoch, value in one.values.items():
                epochs += 1
                if not stopper.should_continue(one.number, epoch, value) and one.number:
                    break
        assert outcome.saved == (480 - epochs) / 480
