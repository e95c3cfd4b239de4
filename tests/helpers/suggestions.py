"""Trials of small search spaces, without training."""

from collections.abc import Callable

from optuna.trial import Trial, TrialState

from hearai.search.storage.trial_store import TrialStore


def suggest_x(trial: Trial) -> dict:
    """One number."""
    return {"x": trial.suggest_float("x", 0, 1)}


def suggest_x_and_y(trial: Trial) -> dict:
    """A real and an integer number."""
    return {"x": trial.suggest_float("x", 0, 1), "y": trial.suggest_int("y", 0, 100)}


def run_trial(
    store: TrialStore, state: TrialState, *values: float, suggest: Callable[[Trial], dict] = suggest_x_and_y
) -> int:
    """A trial that reports the first of its values after each of two epochs, and ends; its number."""
    number = store.propose(suggest).number
    for epoch in (1, 2):
        store.observe(number, epoch, values[0])
    store.finish(number, state, values if state is TrialState.COMPLETE else None)
    return number
