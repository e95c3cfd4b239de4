"""Depthwise convolutions over time and self-attention in turn. B clips, T frames, D width, E expanded width.

Source: the first place of Kaggle "Google - Isolated Sign Language Recognition" 2023 (Hoyeol Sohn,
https://www.kaggle.com/competitions/asl-signs/discussion/406684): width 192, twice three convolution blocks with kernel
17 and one transformer block, the mean over the frames, and strong dropout that begins late in training. Differences:
layer norms instead of batch norms, whose statistics would depend on the padding and on the other clips of a batch; the
attention block is the one of `SignLanguageTransformer`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hearai.errors import pick
from hearai.models.pooling import POOLINGS, masked_mean, zero_padding
from hearai.models.transformer import SignLanguageTransformer

CONVOLUTIONS = 3
"""Convolution blocks before each attention block."""
GATE_CHANNELS = 5
"""Neighbouring channels that decide about the gate of one channel (ECA-Net)."""


class Conv1dTransformer(nn.Module):
    """`num_encoder_layers` times three convolution blocks and an attention block, pooled, with a linear map.

    There are no positions: the convolutions look back only, so they see where the clip begins.

    Args:
        input_size: width of a frame vector; a multiple of `num_attention_heads`.
        feedforward_size: expanded width inside each block; the source has twice `input_size`.
        num_encoder_layers: the source has 2.
        output_size: width of the output.
        dropout_rate: share of clips that skip a convolution block, and of values dropped in an attention block.
        pooling: a key of `POOLINGS`.
        kernel_size: frames that a convolution sees: one and those before it.
        late_dropout_rate: of the output; the source has 0.8.
        late_dropout_after: training batches before it begins.
    """

    def __init__(
        self,
        input_size: int,
        *,
        feedforward_size: int,
        num_attention_heads: int,
        num_encoder_layers: int,
        output_size: int,
        dropout_rate: float,
        pooling: str = "mean",
        kernel_size: int = 17,
        late_dropout_rate: float = 0.0,
        late_dropout_after: int = 0,
    ):
        super().__init__()
        self.width = output_size
        self.layers = nn.ModuleList()
        for _ in range(num_encoder_layers):
            for _ in range(CONVOLUTIONS):
                self.layers.append(DepthwiseBlock(input_size, feedforward_size, kernel_size, dropout_rate))
            self.layers.append(
                SignLanguageTransformer.block(input_size, feedforward_size, num_attention_heads, dropout_rate)
            )
        self.norm = nn.LayerNorm(input_size)
        self.pooling = pick(POOLINGS, pooling, "transformer.pooling")(input_size)
        self.output = nn.Linear(input_size, output_size)
        self.late_dropout = (
            LateDropout(late_dropout_rate, late_dropout_after) if late_dropout_rate > 0 else nn.Identity()
        )

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """(B, output_size); frames where the mask is false have no influence."""
        x_BTD = zero_padding(x_BTD, mask_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD, src_key_padding_mask=~mask_BT)
        return self.late_dropout(self.output(self.pooling(self.norm(x_BTD), mask_BT)))


class DepthwiseBlock(nn.Module):
    """x + project(gate(norm(convolve(expand(x))))): an inverted residual block over time.

    Each of the E channels is convolved by itself and then scaled by a gate, a function of the clip's mean of that
    channel and of its neighbours (Wang et al. 2020, "ECA-Net: Efficient Channel Attention"). In training a clip skips
    the block with probability `dropout_rate` (stochastic depth, Huang et al. 2016).
    """

    def __init__(self, width: int, expanded: int, kernel_size: int, dropout_rate: float):
        super().__init__()
        self.expand = nn.Linear(width, expanded)
        self.history = kernel_size - 1
        self.depthwise = nn.Conv1d(expanded, expanded, kernel_size, groups=expanded, bias=False)
        self.norm = nn.LayerNorm(expanded)
        self.gate = nn.Conv1d(1, 1, GATE_CHANNELS, padding=GATE_CHANNELS // 2, bias=False)
        self.project = nn.Linear(expanded, width)
        self.dropout_rate = dropout_rate

    def forward(self, x_BTD: Tensor, src_key_padding_mask: Tensor) -> Tensor:
        """(B, T, D); frames before the clip and padded frames count as zeros."""
        mask_BT = ~src_key_padding_mask
        h_BTE = zero_padding(F.silu(self.expand(x_BTD)), mask_BT)
        h_BTE = self.depthwise(F.pad(h_BTE.transpose(1, 2), (self.history, 0))).transpose(1, 2)
        h_BTE = self.norm(h_BTE)
        gate_B1E = self.gate(masked_mean(h_BTE, mask_BT).unsqueeze(1)).sigmoid()
        return x_BTD + self._skip_clips(self.project(h_BTE * gate_B1E))

    def _skip_clips(self, branch_BTD: Tensor) -> Tensor:
        if not self.training or self.dropout_rate == 0:
            return branch_BTD
        kept_B11 = torch.rand(len(branch_BTD), 1, 1, device=branch_BTD.device) >= self.dropout_rate
        return branch_BTD * kept_B11 / (1 - self.dropout_rate)


class LateDropout(nn.Module):
    """Dropout that begins after a number of training batches, which a checkpoint remembers.

    Strong dropout from the start keeps a network from fitting anything.

    Args:
        rate: share of values that are dropped, above 0 and below 1.
        after: batches in training mode before it begins.
    """

    def __init__(self, rate: float, after: int):
        super().__init__()
        self.rate, self.after = rate, after
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """x, in training with dropped values if it is late enough."""
        if not self.training:
            return x
        self.batches += 1
        dropped = F.dropout(x, self.rate)
        return torch.where(self.batches > self.after, dropped, x)  # not `if`, which would make a GPU wait
