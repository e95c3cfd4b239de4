"""Sequence encoders: frame vectors -> one vector. B clips, T frames, D width."""

import torch
from torch import nn


def masked_mean(x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """(B, D): the mean over the frames where the mask is true."""
    weight_BT1 = mask_BT.unsqueeze(-1).to(x_BTD.dtype)
    return (x_BTD * weight_BT1).sum(1) / weight_BT1.sum(1)


def sinusoidal_positions(length: int, width: int, device: torch.device) -> torch.Tensor:
    """(T, D) sines and cosines of wavelengths from 2 pi to 10000 * 2 pi frames (Vaswani et al. 2017)."""
    time_T1 = torch.arange(length, device=device).unsqueeze(1)
    rate_D = 10000.0 ** (-torch.arange(0, width, 2, device=device) / width)
    angle_TD = time_T1 * rate_D
    return torch.stack((angle_TD.sin(), angle_TD.cos()), dim=-1).flatten(1)[:, :width]


class SignLanguageTransformer(nn.Module):
    """Pre-norm transformer encoder over the frames, mean over the real ones, linear map to `output_size`.

    Args:
        input_size: width of a frame vector; a multiple of `num_attention_heads`.
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
    ):
        super().__init__()
        self.width = output_size
        # nn.TransformerEncoder would copy one block, so that all of them start with the same weights
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                input_size,
                num_attention_heads,
                feedforward_size,
                dropout_rate,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(num_encoder_layers)
        )
        self.norm = nn.LayerNorm(input_size)
        self.output = nn.Linear(input_size, output_size)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, output_size); frames where the mask is false have no influence."""
        x_BTD = x_BTD + sinusoidal_positions(*x_BTD.shape[1:], x_BTD.device).to(x_BTD.dtype)
        for block in self.blocks:
            x_BTD = block(x_BTD, src_key_padding_mask=~mask_BT)
        return self.output(masked_mean(self.norm(x_BTD), mask_BT))


class FakeTransformer(nn.Module):
    """No attention: mean over the real frames and a linear map. The sizes of blocks are not used."""

    def __init__(self, input_size: int, *, output_size: int, **_: float):
        super().__init__()
        self.width = output_size
        self.output = nn.Linear(input_size, output_size)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, output_size); frames where the mask is false have no influence."""
        return self.output(masked_mean(x_BTD, mask_BT))


TRANSFORMERS = {
    "sign_language_transformer": SignLanguageTransformer,
    "fake_transformer": FakeTransformer,
}
"""`transformer.name` -> sequence encoder."""
