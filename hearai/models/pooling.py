"""The frames of a clip -> one vector. B clips, T frames, D width."""

import torch
from torch import nn


def zero_padding(x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """(B, T, D) with 0 where the mask is false, whatever was there: NaN times 0 would stay NaN."""
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
    """A weighted mean over the real frames; a learned score of each frame gives its weight (softmax over time).

    Attention with one learned query, as in hierarchical attention networks (Yang et al. 2016) without their hidden
    layer: the frames come out of an encoder already. The scores start at 0, so that training starts at the mean.
    """

    def __init__(self, width: int):
        super().__init__()
        self.score = nn.Linear(width, 1, bias=False)  # a bias is the same for all frames: softmax takes it out
        nn.init.zeros_(self.score.weight)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, D); frames where the mask is false have no influence."""
        x_BTD = zero_padding(x_BTD, mask_BT)
        score_BT = self.score(x_BTD).squeeze(-1).masked_fill(~mask_BT, float("-inf"))
        weight_BT = score_BT.softmax(-1).to(x_BTD.dtype)
        return (weight_BT.unsqueeze(1) @ x_BTD).squeeze(1)


POOLINGS = {"mean": MeanPooling, "attention": AttentionPooling}
"""`transformer.pooling` -> (width) -> pooling."""
