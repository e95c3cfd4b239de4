"""Optimizers by name."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "radam": partial(torch.optim.RAdam, decoupled_weight_decay=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}


def build_optimizer(model: nn.Module, *, name: str = "adamw", lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """An optimizer over all parameters; weight decay applies to all but 1-d ones, such as biases and norms.

    Frozen parameters are included: until they are unfrozen they have no gradient, and every optimizer skips them.
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return OPTIMIZERS[name](groups, lr=lr)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Sets the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr
