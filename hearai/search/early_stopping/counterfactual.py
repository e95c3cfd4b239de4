"""What early stopping from an earlier epoch would have saved and lost: the recorded curves, replayed."""

import bisect
import dataclasses
import math
from collections.abc import Mapping, Sequence

from hearai.search.early_stopping.auto import candidate_rungs

MIN_COMPLETE = 5
"""Complete trials below which nothing is said: one in three of them would be one or two."""


@dataclasses.dataclass(frozen=True)
class RecordedTrial:
    """A trial of the search, as its journal has it."""

    number: int
    values: Mapping[int, float]
    """{epoch (from 1): best objective so far}"""
    is_complete: bool = False
    was_stopped: bool = False
    """Whether it ended, or paused, before its last epoch because others were better."""


@dataclasses.dataclass(frozen=True)
class Counterfactual:
    """The outcome with `Asha` from one epoch on, in addition to the early stopping that there was."""

    grace_epochs: int
    """The first rung: no trial is stopped before the end of this epoch, from 1."""
    saved: float
    """Share of the epochs of all trials, in [0, 1)."""
    kept: Sequence[int]
    """Numbers of the complete trials that would have been complete, ascending."""


@dataclasses.dataclass(frozen=True)
class Replay:
    """The outcomes for every epoch that can be judged."""

    outcomes: Sequence[Counterfactual]
    """By `grace_epochs`, ascending; empty if nothing is known."""
    note: str
    """Why nothing is known; empty if there are outcomes."""


def replay_early_stopping(
    trials: Sequence[RecordedTrial], *, reduction_factor: int, max_epochs: int, protected: int
) -> Replay:
    """Replays the curves, trial by trial in the order of their numbers, from each candidate for the first rung.

    A trial that was stopped ends where it was stopped, at the latest: only epochs before the first such stop can be
    judged. The trials themselves are those of the search, although its sampler might have proposed others.

    Args:
        trials: those that were started.
        reduction_factor: one in this many trials continues at each rung.
        max_epochs: epochs of a complete trial.
        protected: number of the trial that is never stopped, the base config's.
    """
    complete = sum(trial.is_complete for trial in trials)
    if complete < MIN_COMPLETE:
        count = f"only {complete} trials are complete" if complete > 1 else f"only {complete} trial is complete"
        count = count if complete else "no trial is complete"
        return Replay((), f"{count}; {MIN_COMPLETE} are needed")
    stops = [max(trial.values, default=0) for trial in trials if trial.was_stopped]
    rungs = [epoch for epoch in candidate_rungs(max_epochs) if epoch < min(stops, default=max_epochs)]
    if not rungs:
        return Replay((), f"trials were stopped after epoch {min(stops)} already" if stops else "trials have one epoch")
    ordered = sorted(trials, key=lambda trial: trial.number)
    return Replay([_replay(ordered, rung, reduction_factor, max_epochs, protected) for rung in rungs], "")


def _replay(
    trials: Sequence[RecordedTrial], grace_epochs: int, reduction_factor: int, max_epochs: int, protected: int
) -> Counterfactual:
    rungs: dict[int, list[float]] = {}
    while grace_epochs * reduction_factor ** len(rungs) < max_epochs:
        rungs[grace_epochs * reduction_factor ** len(rungs)] = []
    used, kept = 0, []
    for trial in trials:
        epochs = _epochs_until_stopped(rungs, trial, reduction_factor, can_stop=trial.number != protected)
        used += epochs
        if trial.is_complete and epochs == len(trial.values):
            kept.append(trial.number)
    spent = sum(len(trial.values) for trial in trials)
    return Counterfactual(grace_epochs, (spent - used) / spent if spent else 0.0, kept)


def _epochs_until_stopped(
    rungs: Mapping[int, list[float]], trial: RecordedTrial, reduction_factor: int, *, can_stop: bool
) -> int:
    """Decides as `Asha`, with the values of each rung in order, because thousands of trials are replayed many times.

    rungs: {epoch: the values of the trials before, ascending}; the trial's own are added.
    """
    for count, epoch in enumerate(sorted(trial.values), start=1):
        if epoch in rungs:
            values, value = rungs[epoch], trial.values[epoch]
            bisect.insort(values, value)
            if can_stop and value < values[-math.ceil(len(values) / reduction_factor)]:
                return count
    return len(trial.values)
