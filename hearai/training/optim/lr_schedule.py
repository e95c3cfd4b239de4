"""The learning rate of each optimizer step, as a pure function of the step: nothing to save, nothing to restore."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hearai.config.schema import TrainParameters

ONE_CYCLE_START, ONE_CYCLE_END = 25, 1e4
"""one_cycle starts at peak / START and ends at peak / START / END: torch's defaults."""


@dataclass(frozen=True)
class LRSchedule:
    """Learning rate by optimizer step (0-based, below `total_steps`)."""

    name: str
    """A key of `LR_SCHEDULES`."""
    peak: float
    steps_per_epoch: int
    total_steps: int
    warmup_steps: float
    """Optimizer steps; below 1, that fraction of `total_steps`."""
    multiply_lr_step: float
    """Factor per epoch after the warm-up; only `multiply` uses it."""

    @classmethod
    def build(cls, train: TrainParameters, steps_per_epoch: int, epochs: int) -> "LRSchedule":
        """The schedule of a run of `epochs` epochs."""
        return cls(
            train.lr_schedule,
            train.lr,
            steps_per_epoch,
            steps_per_epoch * epochs,
            train.warmup_steps,
            train.multiply_lr_step,
        )

    def __call__(self, step: int) -> float:
        """The learning rate of a step."""
        return self.peak * LR_SCHEDULES[self.name](self, step)


def _multiply(schedule: LRSchedule, step: int) -> float:
    """Rises linearly to 1 during the warm-up, then is multiplied by `multiply_lr_step` after each epoch."""
    warmup = schedule.warmup_steps
    warmup = math.ceil(warmup * schedule.total_steps) if warmup < 1 else int(warmup)
    if step < warmup:
        return (step + 1) / warmup
    return schedule.multiply_lr_step ** ((step - warmup) // schedule.steps_per_epoch)


def _one_cycle(schedule: LRSchedule, step: int) -> float:
    """Two half cosines: up to 1 during the warm-up, then down to almost 0 at the last step.

    Smith & Topin 2018, "Super-convergence"; the values are those of torch's `OneCycleLR` with
    anneal_strategy="cos" and the warm-up as `pct_start`. Without a warm-up the rate falls from the first step on,
    which is then already one step below the peak.
    """
    warmup, total = schedule.warmup_steps, schedule.total_steps
    share = warmup if warmup < 1 else min(1.0, warmup / total)
    top, last = share * total - 1, total - 1  # where torch ends the two phases
    if step <= top:
        return _cosine(1 / ONE_CYCLE_START, 1.0, step / top if top > 0 else 1.0)  # one step: torch divides by 0
    return _cosine(1.0, 1 / ONE_CYCLE_START / ONE_CYCLE_END, (step - top) / (last - top))


def _cosine(start: float, end: float, done: float) -> float:
    """From `start` to `end` along half a cosine; `done` in [0, 1]."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))


LR_SCHEDULES: dict[str, Callable[[LRSchedule, int], float]] = {"multiply": _multiply, "one_cycle": _one_cycle}
"""{`train_parameters.lr_schedule`: factor of the peak learning rate in a step}."""
