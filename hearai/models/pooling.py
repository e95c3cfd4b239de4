"""Pooling of the frames of a clip to one vector. B clips, T frames, D width."""

from collections.abc import Callable

import torch
from torch import nn


def zero_padding(x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """(B, T, D), set to 0 where the mask is false. Not a multiplication, because NaN * 0 is NaN."""
    return x_BTD.masked_fill(~mask_BT.unsqueeze(-1), 0.0)


def masked_mean(x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """(B, D): the mean over the frames where the mask is true."""
    return zero_padding(x_BTD, mask_BT).sum(1) / mask_BT.sum(1, keepdim=True)


class MeanPooling(nn.Module):
    """The mean over the real frames. `width` is not used."""

    def __init__(self, width: int):
        super().__init__()

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, D); frames where the mask is false have no influence."""
        return masked_mean(x_BTD, mask_BT)


class AttentionPooling(nn.Module):
    """A mean over the real frames, weighted by the softmax over time of a learned score per frame.

    Attention with one learned query, as in hierarchical attention networks (Yang et al. 2016), without their hidden
    layer, since the frames have passed an encoder. Scores are initialised to 0, so that training starts with the mean.
    """

    def __init__(self, width: int):
        super().__init__()
        self.score = nn.Linear(width, 1, bias=False)  # no bias: softmax is invariant to it
        nn.init.zeros_(self.score.weight)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, D); frames where the mask is false have no influence."""
        x_BTD = zero_padding(x_BTD, mask_BT)
        score_BT = self.score(x_BTD).squeeze(-1).masked_fill(~mask_BT, float("-inf"))
        weight_BT = score_BT.softmax(-1).to(x_BTD.dtype)
        return (weight_BT.unsqueeze(1) @ x_BTD).squeeze(1)


POOLINGS: dict[str, Callable[[int], nn.Module]] = {"mean": MeanPooling, "attention": AttentionPooling}
"""{`transformer.pooling`: class, constructed with the width}."""
