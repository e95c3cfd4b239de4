"""Finds the optimizer step in which training diverges, and keeps that step and all later ones from the weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hearai.config.schema import TrainParameters

DECAY_LIMIT = 0.1
"""Share of the weights that a step of weight decay may remove before it is named as a cause."""


@dataclass(frozen=True)
class Divergence:
    """The first step of an epoch whose loss or gradient norm is not finite."""

    step: int
    """0-based, within the epoch."""
    loss: float
    """This worker's share of it; the workers' shares sum to the loss."""
    gradient_norm: float
    """Over all workers, before clipping."""


class StepGuard:
    """Applies optimizer steps until the first with a gradient norm that is not finite; none from then on.

    A loss that is not finite counts as well: `backward` makes the gradients NaN in that case. Workers average their
    gradients, so all of them see the same norm and skip the same steps without another message.

    On a CPU each norm is read at once, and `stopped` says that the epoch is over. On a GPU that would make every step
    wait for the device: the first bad step is kept there, later steps of the epoch change nothing, and `divergence`
    reads it when the epoch ends.

    Only the weights are protected: batch norms in training mode have already seen the batch of the bad step.

    Args:
        deferred: keep the result on the device; None = where `device` is not a CPU.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device, *, deferred: bool | None = None):
        self._optimizer, self._device = optimizer, device
        self._deferred = device.type != "cpu" if deferred is None else deferred
        self.reset()

    def reset(self) -> None:
        """Starts an epoch."""
        self._first: Divergence | None = None
        self._first_3 = torch.tensor([-1.0, 0.0, 0.0], dtype=torch.float64, device=self._device)
        """Step, loss and gradient norm of the first bad step; step -1 = none yet."""

    @property
    def stopped(self) -> bool:
        """Whether it is already known that training has diverged; never waits for the device."""
        return self._first is not None

    def step(self, number: int, loss: Tensor, gradient_norm: Tensor) -> None:
        """Takes the optimizer step `number` (0-based, within the epoch) unless training has diverged."""
        if self._deferred:
            self._step_unless(self._note(number, loss, gradient_norm))
        elif math.isfinite(norm := float(gradient_norm)):
            self._optimizer.step()
        else:
            self._first = Divergence(number, float(loss), norm)

    def divergence(self) -> Divergence | None:
        """The first bad step since `reset`, if any. Waits for the device."""
        if self._deferred and self._first is None:
            step, loss, norm = self._first_3.tolist()
            self._first = Divergence(int(step), loss, norm) if step >= 0 else None
        return self._first

    def _note(self, number: int, loss: Tensor, gradient_norm: Tensor) -> Tensor:
        """Whether this step or an earlier one is bad: a bool on the device."""
        step = torch.full_like(self._first_3[0], number)  # a kernel; `torch.tensor` would copy, and wait
        now_3 = torch.stack([step, loss.double(), gradient_norm.double()])
        is_first = ~gradient_norm.isfinite() & (self._first_3[0] < 0)
        self._first_3 = torch.where(is_first, now_3, self._first_3)
        return self._first_3[0] >= 0

    def _step_unless(self, bad: Tensor) -> None:
        if getattr(self._optimizer, "_step_supports_amp_scaling", False):  # fused ones; as torch's GradScaler does it
            self._optimizer.found_inf = bad.float()
            self._optimizer.step()
            return
        weights = [p for group in self._optimizer.param_groups for p in group["params"] if p.grad is not None]
        before = [weight.detach().clone() for weight in weights]
        self._optimizer.step()
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(torch.where(bad, old, weight))


def backward(loss: Tensor) -> None:
    """`loss.backward()`; of a loss that is not finite, all gradients are NaN.

    An infinite loss can have finite gradients, and then only the worker it belongs to would notice.
    """
    loss.backward(loss.detach() * 0 + 1)


def gradient_norm(parameters: Sequence[nn.Parameter], clip: float | None) -> Tensor:
    """L2 norm of all gradients, clipped to `clip` afterwards."""
    if clip is not None:
        return nn.utils.clip_grad_norm_(parameters, clip)
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def describe_settings(train: TrainParameters, lr: float, precision: str) -> str:
    """The settings on which stability depends most.

    Args:
        lr: of the step in question.
        precision: "fp32" or "bf16".
    """
    clip = "none" if train.gradient_clip is None else f"{train.gradient_clip:g}"
    return (
        f"lr {lr:g} (peak {train.lr:g}, {train.lr_schedule}), optimizer {train.optimizer}, "
        f"weight_decay {train.weight_decay:g}, batch_size {train.batch_size}, gradient_clip {clip}, "
        f"loss {train.loss}, precision {precision}"
    )


def remedy(train: TrainParameters, precision: str, *, is_first_step: bool) -> str:
    """What to change so that training does not diverge again.

    Args:
        precision: "fp32" or "bf16".
        is_first_step: it was the first step of the run, before which no weight had changed.
    """
    fp32 = ["set train_parameters.precision: fp32"] if precision == "bf16" else []
    if is_first_step:
        check = "no step came before it, so the learning rate is not the cause: look for values that are not finite in "
        return "; ".join([f"{check}the data (experiments/check_data.py DIR) and in the initial weights", *fp32])
    changes = [f"lower train_parameters.lr ({train.lr:g})"]
    if train.lr * train.weight_decay > DECAY_LIMIT:
        changes.append(f"lower train_parameters.weight_decay ({train.weight_decay:g})")
    if train.gradient_clip is None:
        changes.append("set train_parameters.gradient_clip: 1")
    else:
        changes.append(f"lower train_parameters.gradient_clip ({train.gradient_clip:g})")
    if train.warmup_steps == 0:
        changes.append("raise train_parameters.warmup_steps (0)")
    return "to avoid it, " + ", or ".join([*changes, *fp32])
