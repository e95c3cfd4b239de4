"""Estimates how long pre-training takes, before its first epoch ends."""

import logging
import time

from torch import Tensor

from hearai.config.study_schema import Pretrain

log = logging.getLogger(__name__)

ESTIMATE_STEPS = 10
"""Steps from which the time is estimated, at most half an epoch."""


def steps_per_epoch(frames: int, settings: Pretrain) -> int:
    """Optimizer steps of an epoch over so many frames."""
    return max(1, frames // settings.batch_size)


class TimeEstimate:
    """Says how long pre-training will take, once, from the first steps of its first epoch.

    train_frames, val_frames: their numbers; an evaluated frame costs about a third of a trained one.
    """

    def __init__(self, train_frames: int, val_frames: int, settings: Pretrain):
        self.steps = steps_per_epoch(train_frames, settings)
        self.epochs = settings.epochs
        self.steps_in_all = settings.epochs * (self.steps + val_frames / settings.batch_size / 3)
        self.last = max(1, min(ESTIMATE_STEPS, self.steps // 2))
        """The step after which the estimate is made."""
        self.started = self.first_done = time.monotonic()

    def after_step(self, done: int, total_loss: Tensor | float) -> None:
        """Call it after every step of the first epoch. done: steps so far. total_loss: read to wait for a GPU."""
        if done == 1:
            float(total_loss)
            self.first_done = time.monotonic()  # the first step is slower than the others
        if done != self.last:
            return
        float(total_loss)
        now = time.monotonic()
        per_step = (now - self.first_done) / (done - 1) if done > 1 else now - self.started
        log.info(
            "pre-training: about %s for %d epochs of %d steps, estimated from the first %d",
            *(_rough_time(per_step * self.steps_in_all), self.epochs, self.steps, done),
        )


def _rough_time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
