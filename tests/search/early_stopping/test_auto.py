"""Early stopping that decides itself where it begins: from curves of which the right first rung is known."""

import random

import pytest

from hearai.search.early_stopping.auto import MIN_COMPLETE, Auto, candidate_rungs

EPOCHS = 20
CAUTIOUS = 6
"""0.3 of the epochs."""


def train(stopper: Auto, number: int, values: list[float]) -> int:
    """Reports a trial until it is stopped; returns the number of its epochs."""
    for epoch, value in enumerate(values, start=1):
        if not stopper.should_continue(number, epoch, value):
            return epoch
    return len(values)


def curve(final: float, ranked_from: int, rng: random.Random) -> list[float]:
    """A curve whose values have nothing to do with the final one before an epoch, and its rank from there on."""
    early = [rng.random() / 100 for _ in range(ranked_from - 1)]
    return early + [0.1 + final * epoch / EPOCHS for epoch in range(ranked_from, EPOCHS + 1)]


def auto_after(ranked_from: int, trials: int = 30, factor: int = 3) -> Auto:
    """The state after trials that all ran to their end."""
    rng, stopper = random.Random(1), Auto(reduction_factor=factor, max_epochs=EPOCHS)
    values = {number: curve(rng.random(), ranked_from, rng) for number in range(trials)}
    stopper.replay((number, dict(enumerate(one, start=1))) for number, one in values.items())
    return stopper


def test_candidates_are_a_geometric_grid_below_the_last_epoch() -> None:
    assert candidate_rungs(20) == [1, 2, 3, 4, 6, 9, 13]
    assert candidate_rungs(60) == [1, 2, 4, 5, 8, 12, 18, 27, 40]
    assert candidate_rungs(2) == [1] and candidate_rungs(1) == []


@pytest.mark.parametrize(("ranked_from", "first_rung"), [(1, 1), (3, 3), (5, 6), (9, 9), (20, 13)])
def test_stopping_begins_where_the_best_would_have_survived(ranked_from: int, first_rung: int) -> None:
    assert auto_after(ranked_from).first_rung == first_rung


def test_an_early_epoch_that_ranks_by_chance_is_not_trusted() -> None:
    stopper = Auto(reduction_factor=2, max_epochs=EPOCHS)
    for number in range(8):  # the ranks of epochs 1 to 3 are the final ones, those of 4 to 12 are reversed
        rank = [number, -number, number]
        values = [rank[0] if epoch < 4 else rank[1] if epoch < 13 else rank[2] for epoch in range(1, EPOCHS + 1)]
        stopper.replay([(number, {epoch: float(value) for epoch, value in enumerate(values, start=1)})])
    assert stopper.first_rung == 13


def test_stopping_is_cautious_before_enough_trials_are_complete() -> None:
    assert auto_after(1, trials=MIN_COMPLETE - 1).first_rung == CAUTIOUS
    assert auto_after(1, trials=MIN_COMPLETE).first_rung == 1


def test_poor_trials_stop_at_the_first_rung_and_its_multiples() -> None:
    stopper = auto_after(3)
    assert train(stopper, 100, [0.0] * EPOCHS) == 3
    assert train(stopper, 101, [0.9] * 8 + [0.0] * 12) == 9
    assert train(stopper, 102, [1.2] * EPOCHS) == EPOCHS


def test_the_first_rung_moves_when_later_trials_contradict() -> None:
    stopper, rng = auto_after(1, trials=6), random.Random(2)
    assert stopper.first_rung == 1
    for number in range(10, 16):  # late starters that end best
        stopper.replay([(number, dict(enumerate(curve(2 + rng.random(), 10, rng), start=1)))])
    assert stopper.first_rung == 13


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_short_trials_are_never_stopped_after_their_last_epoch(epochs: int) -> None:
    stopper = Auto(reduction_factor=3, max_epochs=epochs)
    for number in range(20):
        for epoch in range(1, epochs):
            stopper.should_continue(number, epoch, -float(number))
        assert stopper.should_continue(number, epochs, -float(number))
    assert stopper.should_continue(20, 1, -99.0) == (epochs == 1)


def test_an_epoch_reported_again_after_a_crash_counts_once() -> None:
    stopper = Auto(reduction_factor=2, max_epochs=4)
    stopper.replay([(0, {1: 0.5, 2: 0.5}), (1, {1: 0.6, 2: 0.6})])
    for _ in range(3):
        assert stopper.should_continue(1, 2, 0.6)
    assert not stopper.should_continue(0, 2, 0.5)
