"""HuBERT's encoder over the frames of a sign. B clips, T frames, D width."""

import math

import torch
from torch import nn

from hearai.errors import pick
from hearai.models.pooling import POOLINGS, zero_padding

POSITION_FRAMES = 9
"""Frames that the position embedding sees, the frame itself in the middle. HuBERT's 128 are of 20 ms of speech each."""
POSITION_GROUPS = 16
"""HuBERT's groups of channels in the position embedding; fewer where they do not divide the width."""


class HubertTransformer(nn.Module):
    """Hugging Face's HuBERT encoder over the frames, pooled over the real ones, linear map to `output_size`.

    Hsu et al. 2021, "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units",
    with the norms first in each layer, as in HuBERT Large: those train without pre-training. The frames' vectors take
    the place of its features of sound. Weights start random; nothing is downloaded. Neither frames (SpecAugment) nor
    layers (LayerDrop) are left out in training.

    The package `transformers` is imported when the first one is built: 1 s and 33 MB on top of timm (2 cores).

    Args:
        input_size: width of a frame vector, and of HuBERT; a multiple of `num_attention_heads`.
        feedforward_size: HuBERT's `intermediate_size`.
        num_encoder_layers: HuBERT's `num_hidden_layers`.
        output_size: width of the result.
        dropout_rate: of hidden vectors, activations and attention.
        pooling: a name of `POOLINGS`.
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
        from transformers.models.hubert.configuration_hubert import HubertConfig
        from transformers.models.hubert.modeling_hubert import HubertEncoderStableLayerNorm

        super().__init__()
        self.width = output_size
        config = HubertConfig(
            hidden_size=input_size,
            intermediate_size=feedforward_size,
            num_attention_heads=num_attention_heads,
            num_hidden_layers=num_encoder_layers,
            hidden_dropout=dropout_rate,
            activation_dropout=dropout_rate,
            attention_dropout=dropout_rate,
            layerdrop=0.0,
            num_conv_pos_embeddings=POSITION_FRAMES,
            num_conv_pos_embedding_groups=math.gcd(input_size, POSITION_GROUPS),
            attn_implementation="sdpa",
        )
        self.encoder = HubertEncoderStableLayerNorm(config)
        self.pooling = pick(POOLINGS, pooling, "transformer.pooling")(input_size)
        self.output = nn.Linear(input_size, output_size)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, output_size); frames where the mask is false have no influence."""
        return self.output(self.pooling(self.encode(x_BTD, mask_BT), mask_BT))

    def encode(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, D).

        The steps of the encoder's own `forward`, which writes into its input, and whose way through depends on whether
        the mask is all true: the GPU would have to be waited for in each step.
        """
        encoder, length = self.encoder, mask_BT.shape[1]
        x_BTD = zero_padding(x_BTD, mask_BT)
        x_BTD = encoder.dropout(x_BTD + encoder.pos_conv_embed(x_BTD))
        attended_B1TT = mask_BT[:, None, None, :].expand(-1, 1, length, -1)
        for layer in encoder.layers:
            x_BTD = layer(x_BTD, attention_mask=attended_B1TT)
        return encoder.layer_norm(x_BTD)
