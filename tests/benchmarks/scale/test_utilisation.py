"""Utilisation of slots is computed from the spans of trials."""

import pytest

from hearai.benchmarks.scale.utilisation import busy_seconds, first_full, phases_of, utilisation


def test_busy_seconds_counts_only_the_window() -> None:
    assert busy_seconds([(0, 4), (3, 10), (11, 12), (5, 6)], (2, 8)) == 2 + 5 + 0 + 1


def test_utilisation_is_the_share_of_all_slots() -> None:
    assert utilisation([(0, 10), (0, 5)], 2, (0, 10)) == pytest.approx(0.75)
    assert utilisation([(0, 10)], 4, (0, 10)) == pytest.approx(0.25)
    assert utilisation([], 4, (0, 10)) == 0
    with pytest.raises(ValueError, match="ends before it starts"):
        utilisation([(0, 1)], 1, (3, 3))


def test_slots_are_full_when_enough_trials_overlap() -> None:
    assert first_full([(0, 10), (3, 7), (5, 6)], 3) == 5
    assert first_full([(0, 5), (5, 10)], 2) is None
    assert first_full([(2, 3)], 1) == 2
    assert first_full([], 1) is None


def test_phases_separate_ramp_up_steady_state_and_drain() -> None:
    """Two slots; the second is filled at 104, the last trial starts at 110: in 104..110 one second of 12 is idle."""
    trials = [(102, 106), (104, 108), (107, 111), (108, 110), (110, 115)]
    epochs = [(start, end - 0.5) for start, end in trials]
    phases = phases_of(trials, epochs, 2, ready=100)
    assert (phases.first_trial, phases.ramp_up, phases.steady, phases.drain) == (2, 4, 6, 5)
    assert phases.occupied == pytest.approx(11 / 12)
    assert phases.training == pytest.approx((1.5 + 3.5 + 3 + 1.5) / 12), (
        "waiting for the search does not count as training"
    )


def test_no_phases_if_the_slots_were_not_all_busy() -> None:
    assert phases_of([(0, 1), (2, 3)], [], 2, ready=0) is None
    assert phases_of([(0, 5), (1, 5)], [], 2, ready=0) is None
    assert phases_of([], [], 2, ready=0) is None
