"""Transformer encoders over the frames of a clip, without and with convolutions. B clips, T frames, D width."""

import torch
import torch.nn.functional as F
from torch import nn

from hearai.errors import pick
from hearai.models.pooling import POOLINGS, zero_padding

CONVOLUTION_FRAMES = 5
"""Kernel size in frames. Clips have 4 to 64 frames; Conformer uses 31 for speech."""


def sinusoidal_positions(length: int, width: int, device: torch.device) -> torch.Tensor:
    """(T, D) sines and cosines with wavelengths from 2 pi to 10000 * 2 pi frames (Vaswani et al. 2017)."""
    time_T1 = torch.arange(length, device=device).unsqueeze(1)
    rate_D = 10000.0 ** (-torch.arange(0, width, 2, device=device) / width)
    angle_TD = time_T1 * rate_D
    return torch.stack((angle_TD.sin(), angle_TD.cos()), dim=-1).flatten(1)[:, :width]


class SignLanguageTransformer(nn.Module):
    """Pre-norm transformer encoder over the frames, pooled over the real ones, with a linear map to `output_size`.

    The recognition encoder (SLRT) of Camgoz et al. 2020, "Sign Language Transformers: Joint End-to-end Sign Language
    Recognition and Translation", CVPR (code: github.com/neccam/slt): sinusoidal positions added to frame vectors,
    pre-norm blocks of self-attention and feed-forward network, and a final norm. Differences: a clip is one sign, so
    pooling and a linear map replace the CTC layer; GELU instead of ReLU; no dropout before the first block.

    Args:
        input_size: width of a frame vector; a multiple of `num_attention_heads`.
        feedforward_size: hidden width of each block's feed-forward network.
        num_encoder_layers: number of blocks.
        output_size: width of the output.
        pooling: a key of `POOLINGS`.
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
    ):
        super().__init__()
        self.width = output_size
        # nn.TransformerEncoder would copy one block: all of them would start with the same weights
        self.blocks = nn.ModuleList(
            self.block(input_size, feedforward_size, num_attention_heads, dropout_rate)
            for _ in range(num_encoder_layers)
        )
        self.norm = nn.LayerNorm(input_size)
        self.pooling = pick(POOLINGS, pooling, "transformer.pooling")(input_size)
        self.output = nn.Linear(input_size, output_size)

    @staticmethod
    def block(width: int, feedforward_size: int, num_attention_heads: int, dropout_rate: float) -> nn.Module:
        """One block, called with (B, T, D) and `src_key_padding_mask`, true where padded."""
        return nn.TransformerEncoderLayer(
            width,
            num_attention_heads,
            feedforward_size,
            dropout_rate,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, output_size); frames where the mask is false have no influence."""
        x_BTD = zero_padding(x_BTD, mask_BT)
        x_BTD = x_BTD + sinusoidal_positions(x_BTD.shape[1], x_BTD.shape[2], x_BTD.device).to(x_BTD.dtype)
        for block in self.blocks:
            x_BTD = block(x_BTD, src_key_padding_mask=~mask_BT)
        return self.output(self.pooling(self.norm(x_BTD), mask_BT))


class SignLanguageCnnTransformer(SignLanguageTransformer):
    """`SignLanguageTransformer` with a convolution over time before the attention of each block.

    Attention relates frames anywhere in the clip; the convolution captures motion between neighbouring frames.
    """

    @staticmethod
    def block(width: int, feedforward_size: int, num_attention_heads: int, dropout_rate: float) -> nn.Module:
        """One block, with a convolution in front."""
        attention = SignLanguageTransformer.block(width, feedforward_size, num_attention_heads, dropout_rate)
        return ConvolutionBlock(width, attention, dropout_rate)


class ConvolutionBlock(nn.Module):
    """x + convolution(x), then an attention block."""

    def __init__(self, width: int, attention: nn.Module, dropout_rate: float):
        super().__init__()
        self.convolution = ConvolutionModule(width, dropout_rate)
        self.attention = attention

    def forward(self, x_BTD: torch.Tensor, src_key_padding_mask: torch.Tensor) -> torch.Tensor:
        """(B, T, D)."""
        x_BTD = x_BTD + self.convolution(x_BTD, ~src_key_padding_mask)
        return self.attention(x_BTD, src_key_padding_mask=src_key_padding_mask)


class ConvolutionModule(nn.Module):
    """The convolution module of Conformer (Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for
    Speech Recognition", Interspeech): gated linear unit, depthwise convolution over time, linear output.

    LayerNorm replaces its BatchNorm, whose statistics would depend on padding and on the other clips of the batch.
    """

    def __init__(self, width: int, dropout_rate: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, CONVOLUTION_FRAMES, padding=CONVOLUTION_FRAMES // 2, groups=width)
        self.depthwise_norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, D); padded frames count as zeros, like the convolution's padding beyond the clip."""
        x_BTD = zero_padding(F.glu(self.gate(self.norm(x_BTD)), dim=-1), mask_BT)
        x_BTD = self.depthwise(x_BTD.transpose(1, 2)).transpose(1, 2)
        return self.dropout(self.output(F.silu(self.depthwise_norm(x_BTD))))
