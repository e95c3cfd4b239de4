"""How far a run has come: what is reported, saved with every epoch, and read back to go on."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from torch import Tensor

from hearai.metrics import CHOSEN_SCORE, SCORE
from hearai.training.scores import Evaluation

DIVERGED_LOSS = 1e9
"""Reported in place of a loss that is no number any more: every reported value is finite."""


@dataclass
class RunState:
    """Finished epochs of a run and the best of them."""

    epoch: int = 0
    """Finished epochs."""
    best: float = 0.0
    """Best score so far, in [0, 1]: the objective."""
    best_epoch: int = 0
    """1-based; 0 = none yet."""
    diverged: bool = False
    """Whether a loss was no finite number; nothing follows."""
    seconds: float = 0.0
    """Spent in `fit`, over all attempts, up to what is saved."""
    history: list[dict[str, float]] = field(default_factory=list)
    """The report of each epoch."""
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    """The model's weights after the best epoch (see `Learner.weights`)."""
    best_confusions: dict[str, Tensor] = field(default_factory=dict)
    """{head: (K, K) int32} of the best epoch, true class by predicted class."""
    costs: dict[str, float] = field(default_factory=dict)
    """What the model costs, measured once (see `hearai.training.cost`); goes with every report."""
    run_id: str = field(default_factory=lambda: uuid4().hex)
    """Of this run in all its attempts: how trackers know it again."""

    def __post_init__(self) -> None:
        self._started = time.monotonic() - self.seconds

    def state(self) -> dict[str, Any]:
        """Tensors and plain values; `Progress(**state)` goes on from there."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def pause(self) -> None:
        """Notes the time, where the run leaves in the middle of an epoch."""
        self.seconds = time.monotonic() - self._started

    def advance(
        self,
        train_loss: float,
        evaluation: Evaluation,
        *,
        lr: float,
        epochs: int,
        clips: int,
        frozen: Mapping[str, float],
        heads: Sequence[str] = (),
        choose: bool = True,
    ) -> bool:
        """Notes one more finished epoch of `epochs`; whether it is the best so far.

        clips: training clips that it went through, over all workers.
        frozen: {part: share of the epoch's steps in which it was frozen}.
        heads: those that the score is the mean over; none = all.
        choose: whether the best epoch is kept; if not, the last one is (where validation clips are trained on).
        """
        self.epoch += 1
        self.seconds = time.monotonic() - self._started
        self.diverged = not (math.isfinite(train_loss) and math.isfinite(evaluation.loss))
        score = evaluation.score(heads)
        is_best = not self.diverged and (not choose or not self.best_epoch or score > self.best)
        if is_best:
            self.best, self.best_epoch = score, self.epoch
            self.best_confusions = {head: matrix.int() for head, matrix in evaluation.confusions.items()}
        self.history.append(
            {
                "epoch": self.epoch,
                "epochs": epochs,
                "objective": self.best,
                "best_epoch": self.best_epoch,
                "diverged": float(self.diverged),
                "seconds": self.seconds,
                "clips": clips,
                "lr": lr,
                **self.costs,
                **{f"frozen/{part}": share for part, share in frozen.items()},
                "train/loss": _finite(train_loss),
                "val/loss": _finite(evaluation.loss),
                SCORE: evaluation.macro_f1,
                **({CHOSEN_SCORE: score} if heads else {}),
                "val/accuracy": evaluation.accuracy,
                **{
                    f"val/{head}/{name}": value
                    for head, scores in evaluation.heads.items()
                    for name, value in scores.items()
                },
            }
        )
        return is_best


def _finite(loss: float) -> float:
    return loss if math.isfinite(loss) else DIVERGED_LOSS
