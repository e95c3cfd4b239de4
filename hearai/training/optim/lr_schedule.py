"""TODO."""

import math
from collections.abc import Callable


def _multiply(step: int, steps_per_epoch: int, total_steps: int, warmup_steps: float, factor: float) -> float:
    """Rises linearly to 1 over the warm-up, then falls by `factor` per epoch, in stairs."""
    warmup = math.ceil(warmup_steps * total_steps) if warmup_steps < 1 else int(warmup_steps)
    if step < warmup:
        return (step + 1) / warmup
    return factor ** ((step - warmup) // steps_per_epoch)


START, END = 25, 1e4
"""one_cycle starts at 1/START of the peak and ends at 1/END of that start: torch's defaults."""


def _one_cycle(
    step: int, steps_per_epoch: int, total_steps: int, warmup_steps: float, multiply_lr_step: float
) -> float:
    """Two half cosines: up to 1 during the warm-up, then down to almost 0 at the last step.

    Smith & Topin 2018, "Super-convergence"; the values are those of torch's `OneCycleLR` with
    anneal_strategy="cos" and the warm-up as `pct_start`. Without warm-up it falls from the first step on,
    which is then a step below the peak. `multiply_lr_step` is not looked at.
    """
    share = warmup_steps if warmup_steps < 1 else min(1.0, warmup_steps / total_steps)
    top, last = share * total_steps - 1, total_steps - 1  # torch's ends of the two phases
    if step <= top:
        return _cosine(1 / START, 1.0, step / top if top > 0 else 1.0)  # of a single step: torch divides by 0
    return _cosine(1.0, 1 / START / END, (step - top) / (last - top))


def _cosine(start: float, end: float, done: float) -> float:
    """From `start` to `end` along half a cosine, `done` in [0, 1]."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))


LR_SCHEDULES: dict[str, Callable[..., float]] = {"multiply": _multiply, "one_cycle": _one_cycle}


def lr_factor(
    step: int,
    *,
    schedule: str = "multiply",
    steps_per_epoch: int,
    total_steps: int,
    warmup_steps: float,
    multiply_lr_step: float,
) -> float:
    """What the peak learning rate is multiplied with in optimizer step `step` (0-based, below `total_steps`).

    Args:
        schedule: a name in `LR_SCHEDULES`.
        warmup_steps: optimizer steps; below 1, that fraction of `total_steps`.
        multiply_lr_step: factor per epoch after the warm-up, of `multiply` only.
    """
    return LR_SCHEDULES[schedule](step, steps_per_epoch, total_steps, warmup_steps, multiply_lr_step)
