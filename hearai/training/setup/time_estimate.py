"""Says how long pre-training will take: from its first steps on, long before an epoch ends."""

import logging
import time
from collections.abc import Callable

from torch import Tensor

from hearai.cli.progress.events import PRETRAINING
from hearai.cli.progress.time_left import rough_time
from hearai.cli.progress.work import work_done
from hearai.config.study_schema import Pretrain

log = logging.getLogger(__name__)

ESTIMATE_STEPS = 10
"""Steps from which the time is first estimated, at most half an epoch."""
LINE_SECONDS = 30.0
"""Between two lines."""


def steps_per_epoch(frames: int, settings: Pretrain) -> int:
    """Optimizer steps of an epoch over so many frames."""
    return max(1, frames // settings.batch_size)


def epoch_cost(train_frames: int, val_frames: int, settings: Pretrain) -> float:
    """The cost of an epoch with its evaluation, in optimizer steps: a frame costs a third of one that is trained."""
    return steps_per_epoch(train_frames, settings) + val_frames / settings.batch_size / 3


class TimeLeft:
    """Says how long pre-training will still take: after its first steps, then every `LINE_SECONDS`.

    Args:
        train_frames, val_frames: their numbers.
        first_epoch: the epoch that is trained first (0-based), later than 0 in a run that is resumed.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        train_frames: int,
        val_frames: int,
        settings: Pretrain,
        *,
        first_epoch: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.steps = steps_per_epoch(train_frames, settings)
        self.epochs = settings.epochs
        self.epoch_cost = epoch_cost(train_frames, val_frames, settings)
        self.first_epoch, self._clock = first_epoch, clock
        self._first_line = max(1, min(ESTIMATE_STEPS, self.steps // 2))
        """Steps of the first epoch after which the first line is logged."""
        self._started = self._first_done = self._last_line = clock()

    def after_step(self, epoch: int, steps: int, total_loss: Tensor | float) -> None:
        """Call it after every step. epoch: 0-based. steps: taken in it. total_loss: is read to wait for a GPU."""
        is_first = epoch == self.first_epoch
        if is_first and steps == 1:
            float(total_loss)
            self._first_done = self._clock()  # the first step is slower than the others
        if not (is_first and steps == self._first_line) and self._clock() - self._last_line < LINE_SECONDS:
            return
        float(total_loss)
        self._last_line = self._clock()
        left = self.seconds_left(epoch, steps, self._last_line)
        work_done(PRETRAINING, (epoch + steps / self.steps) / self.epochs, left)
        log.info(
            "pre-training epoch %d of %d, step %d of %d: about %s left",
            *(epoch + 1, self.epochs, steps, self.steps, rough_time(left)),
        )

    def seconds_left(self, epoch: int, steps: int, now: float) -> float:
        """Up to the last epoch, if pre-training does not stop before it."""
        done = (epoch - self.first_epoch) * self.epoch_cost + steps
        per_step = (now - self._first_done) / (done - 1) if done > 1 else now - self._started
        return per_step * (self.epochs * self.epoch_cost - epoch * self.epoch_cost - steps)
