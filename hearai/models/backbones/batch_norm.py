"""Batch norms in training mode that get a single value per channel, which has no variance.

That is the last batch of an epoch with one frame of one clip, where the network has reduced the image to one position.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def accept_single_values(net: nn.Module) -> None:
    """Makes the batch norms of `net` normalise such a batch by their running statistics, which it does not change."""
    for module in net.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.register_forward_pre_hook(_use_running_statistics)
            module.register_forward_hook(_restore, always_call=True)


def _use_running_statistics(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    if norm.training and inputs[0].numel() == inputs[0].shape[1]:
        norm.training = False
        norm.is_paused = True


def _restore(norm: nn.Module, inputs: Any, output: Any) -> None:
    if getattr(norm, "is_paused", False):
        norm.training, norm.is_paused = True, False
