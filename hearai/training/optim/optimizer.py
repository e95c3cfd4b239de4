"""Optimizers by name."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hearai.errors import load_failure
from hearai.models.weights import UNREADABLE

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, fused=True),
    "radam": partial(torch.optim.RAdam, decoupled_weight_decay=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}


STATE_NAMES: dict[type, set[str]] = {
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.RAdam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.SGD: {"momentum_buffer"},
}
"""What each optimizer keeps of a parameter that has been trained."""


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


def load_optimizer(optimizer: torch.optim.Optimizer, state: Any) -> None:
    """Loads the state of each parameter from a state dict that may hold anything; the settings stay as they are.

    Raises:
        ValueError: it is the state of another optimizer, or of other parameters.
    """
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(state)
    except UNREADABLE as error:
        reason = f"lacks {error}" if isinstance(error, LookupError) else load_failure(error)
        raise ValueError(f"optimizer: {reason}") from None
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)
    expected = STATE_NAMES[type(optimizer)]
    for parameter, values in optimizer.state.items():
        if not isinstance(parameter, Tensor) or set(values) != expected:
            found = ", ".join(sorted(map(str, values))) or "nothing"
            raise ValueError(f"optimizer: holds {found} of a parameter; {type(optimizer).__name__} needs other values")
        if not all(_fits(value, parameter) for value in values.values()):
            raise ValueError("optimizer: its values have other shapes than the parameters")


def _fits(value: Any, parameter: Tensor) -> bool:
    return value is None or (value.is_floating_point() and value.shape in (parameter.shape, torch.Size()))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Sets the learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr
