"""Progress of a run: what is reported and saved with every epoch, and read back to resume.

H trained heads, W workers, G bytes of generator states, K classes.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor

from hearai.metrics import CHOSEN_SCORE, DIVERGED_LOSS, MACRO_F1, OBJECTIVE, SCORE
from hearai.training.outputs.confusion import Confusion
from hearai.training.runtime import Runtime
from hearai.training.scores import Evaluation

REPORTED = ("epoch", "epochs", OBJECTIVE, "best_epoch", "diverged", "seconds", "train/loss", "val/loss", SCORE)
"""Metrics that every epoch has."""


@dataclass(frozen=True)
class EpochFacts:
    """What is reported of an epoch besides losses and scores."""

    epochs: int
    """Epochs of the whole run."""
    clips: int
    """Training clips in the epoch, over all workers."""
    lr: float
    """Learning rate of the last step."""
    frozen: Mapping[str, float] = field(default_factory=dict)
    """{part: share of the epoch's steps in which it was frozen}."""


@dataclass
class RunState:
    """Finished epochs of a run and the best of them. The names of the fields are keys of the checkpoint."""

    epoch: int = 0
    """Finished epochs."""
    best: float = 0.0
    """Best score so far, in [0, 1]: the objective."""
    best_epoch: int = 0
    """1-based; 0 = none yet."""
    diverged: bool = False
    """Whether a loss or a gradient was not finite; no epoch follows."""
    divergence: str = ""
    """Where, and with which settings."""
    remedy: str = ""
    """What to change, so that it does not diverge again."""
    seconds: float = 0.0
    """Spent in `fit`, over all attempts, up to the last save."""
    history: list[dict[str, float]] = field(default_factory=list)
    """The metrics of each epoch, as reported."""
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    """The model's weights after the best epoch (see `Trainer.weights`)."""
    best_confusions: dict[str, Tensor] = field(default_factory=dict)
    """{head: (K, K)} of the best epoch, see `Confusion.matrix`; dense ones where an older version has saved them."""
    costs: dict[str, float] = field(default_factory=dict)
    """What the model costs, measured once (see `hearai.training.cost`) and reported with every epoch."""
    run_id: str = field(default_factory=lambda: uuid4().hex)
    """The same in all attempts at the run, so that trackers recognise it."""

    def __post_init__(self) -> None:
        self._started = time.monotonic() - self.seconds

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, which later epochs do not change; `RunState(**state)` resumes from them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"history": [*self.history]}

    @property
    def newest_weights(self) -> dict[str, Tensor] | None:
        """The weights after the last epoch, if that is the best one."""
        return self.best_weights if self.epoch and self.best_epoch == self.epoch else None

    def misfit(self, weights: Mapping[str, Tensor], num_class: Mapping[str, int]) -> str:
        """Why this is not the progress of a run of a model with these weights and classes; empty if it is."""
        for name, tensor in self.best_weights.items():
            if name not in weights or tensor.shape != weights[name].shape:
                return f"best_weights: the model has no {name} of shape {tuple(tensor.shape)}"
        for head, matrix in self.best_confusions.items():
            try:
                classes = Confusion.of_matrix(matrix).num_class
            except ValueError as problem:
                return f"best_confusions: {head!r} {problem}"
            if classes != num_class.get(head):
                return f"best_confusions: {head!r} has a matrix of shape {tuple(matrix.shape)}"
        for number, row in enumerate(self.history, start=1):
            if lacking := [name for name in REPORTED if name not in row]:
                return f"history: epoch {number} lacks {', '.join(lacking)}"
        return ""

    def pause(self) -> None:
        """Notes the time when the run stops in the middle of an epoch."""
        self.seconds = time.monotonic() - self._started

    def advance(
        self,
        train_loss: float,
        evaluation: Evaluation,
        facts: EpochFacts,
        *,
        heads: Sequence[str] = (),
        score_name: str = MACRO_F1,
        keep_best: bool = True,
    ) -> bool:
        """Notes one more finished epoch; whether it is the best so far.

        Args:
            heads: the score is the mean over them; none = over all heads.
            score_name: what it is the mean of, a name of `metrics.SCORES`.
            keep_best: False = the last epoch counts as the best (where validation clips are trained on).
        """
        self.epoch += 1
        self.seconds = time.monotonic() - self._started
        self.diverged = not (math.isfinite(train_loss) and math.isfinite(evaluation.loss))
        score, is_macro_f1 = evaluation.score(heads, score_name), score_name == MACRO_F1
        is_best = not self.diverged and (not keep_best or not self.best_epoch or score > self.best)
        if is_best:
            self.best, self.best_epoch = score, self.epoch
            self.best_confusions = {head: one.matrix() for head, one in evaluation.confusions.items()}
        self.history.append(
            {
                "epoch": self.epoch,
                "epochs": facts.epochs,
                "objective": self.best,
                "best_epoch": self.best_epoch,
                "diverged": float(self.diverged),
                "seconds": self.seconds,
                "clips": facts.clips,
                "lr": facts.lr,
                **self.costs,
                **{f"frozen/{part}": share for part, share in facts.frozen.items()},
                "train/loss": _finite(train_loss),
                "val/loss": _finite(evaluation.loss),
                SCORE: evaluation.macro_f1,
                **({CHOSEN_SCORE: score} if heads or not is_macro_f1 else {}),
                "val/accuracy": evaluation.accuracy,
                **{
                    f"val/{head}/{name}": value
                    for head, scores in evaluation.heads.items()
                    for name, value in scores.items()
                },
                **({} if is_macro_f1 else _scores_of_heads(evaluation, score_name)),
            }
        )
        return is_best


def _scores_of_heads(evaluation: Evaluation, score_name: str) -> dict[str, float]:
    found = {head: evaluation.score_of(head, score_name) for head in evaluation.confusions}
    return {f"val/{head}/{score_name}": value for head, value in found.items() if value is not None}


def _finite(loss: float) -> float:
    return loss if math.isfinite(loss) else DIVERGED_LOSS


@dataclass(frozen=True)
class PartialEpoch:
    """The result of the steps so far, over all workers."""

    steps: int
    sums_2H: Tensor
    """Loss sums and sums of label weights."""
    generators_WG: Tensor
    """uint8: states of the random generators, from which dropout and the like continue."""

    @classmethod
    def gathered(cls, steps: int, sums_2H: Tensor, runtime: Runtime) -> "PartialEpoch":
        """Called by all workers at the same step."""
        state_G = _generator_states(runtime)
        rows_WG = torch.zeros(runtime.world, len(state_G), dtype=torch.int64)
        rows_WG[runtime.rank] = state_G.long()
        return cls(steps, runtime.sum(sums_2H).cpu(), runtime.sum(rows_WG).to(torch.uint8))

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        return {"steps": self.steps, "sums_2H": self.sums_2H, "generators_WG": self.generators_WG}

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None, *, heads: int, steps: int) -> "PartialEpoch | None":
        """The inverse of `state`.

        Args:
            heads, steps: trained heads, and steps of an epoch, of the run that is to continue.

        Raises:
            ValueError: the state is not that of such a run.
        """
        if not state:
            return None
        partial = cls(**state)
        sums_2H, rows_WG = partial.sums_2H, partial.generators_WG
        if sums_2H.shape != (2, heads) or sums_2H.dtype != torch.float64 or partial.steps > steps:
            raise ValueError(
                f"begun: {partial.steps} steps of an epoch of {steps}, sums of shape {tuple(sums_2H.shape)}"
            )
        if rows_WG.ndim != 2 or rows_WG.dtype != torch.uint8 or not all(map(_is_generator_state, rows_WG)):
            raise ValueError("begun: generators_WG does not hold states of random generators")
        return partial

    def initial_sums(self, runtime: Runtime) -> Tensor:
        """The sums from which this worker continues: worker 0 takes all of them."""
        sums_2H = self.sums_2H.to(runtime.device, copy=True)
        return sums_2H if runtime.rank == 0 else torch.zeros_like(sums_2H)

    def restore_generators(self, runtime: Runtime) -> None:
        """Sets this worker's generators, unless the states come from another kind of device or number of workers."""
        if self.generators_WG.shape != (runtime.world, len(_generator_states(runtime))):
            return
        row, size = self.generators_WG[runtime.rank], len(torch.get_rng_state())
        torch.set_rng_state(row[:size].clone())
        if runtime.device.type == "cuda":
            torch.cuda.set_rng_state(row[size:].clone(), runtime.device)


def _is_generator_state(row_G: Tensor) -> bool:
    """Whether a row begins with a state of the CPU's generator."""
    try:
        torch.Generator().set_state(row_G[: len(torch.get_rng_state())].clone())
    except RuntimeError:
        return False
    return True


def _generator_states(runtime: Runtime) -> Tensor:
    """State (G,) uint8 of this worker's generators: the CPU's, and its GPU's if it has one."""
    states = [torch.get_rng_state()]
    if runtime.device.type == "cuda":
        states.append(torch.cuda.get_rng_state(runtime.device).cpu())
    return torch.cat(states)
