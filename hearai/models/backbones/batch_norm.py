"""Batch norms of a backbone: batches with a single value per channel, and batches that several workers share."""

from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def accept_single_values(net: nn.Module) -> None:
    """Makes batch norms in training mode accept a batch with a single value per channel, which has no variance.

    That is the last batch of an epoch with one frame of one clip, where the network has reduced the image to one
    position. It is normalised by the running statistics, and does not change them.
    """
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


def has_batch_norms(net: nn.Module) -> bool:
    """Whether the output for a frame depends, in training mode, on the other frames of its batch."""
    return any(isinstance(module, _BatchNorm) for module in net.modules())


def synchronise_batch_norms(net: nn.Module) -> nn.Module:
    """`net` with batch norms that use the statistics of all workers' batches. Names of weights stay the same.

    On GPUs only: in training mode torch's `SyncBatchNorm` refuses tensors on a CPU. (timm's conversion also keeps the
    activation functions in timm's batch norms, which torch's own would drop.)
    """
    return convert_sync_batchnorm(net)
