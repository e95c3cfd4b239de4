"""HuBERT's encoder over the frames of a clip. B clips, T frames, D width."""

import math

import torch
from torch import nn

from hearai.errors import pick
from hearai.models.pooling import POOLINGS, zero_padding

POSITION_FRAMES = 9
"""Kernel size of the positional convolution, in frames. HuBERT's is 128, for 20 ms of speech per frame."""
POSITION_GROUPS = 16
"""HuBERT's channel groups of the positional convolution; fewer if they do not divide the width."""


class HubertTransformer(nn.Module):
    """Hugging Face's HuBERT encoder over the frames, pooled over the real ones, with a linear map to `output_size`.

    Hsu et al. 2021, "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units". Uses
    the pre-norm layers of HuBERT Large, which train without pre-training. Frame vectors replace the acoustic features.
    Weights are random; nothing is downloaded. SpecAugment and LayerDrop are disabled.

    The package `transformers` is imported when the first instance is built: 1 s and 33 MB on top of timm (2 cores).

    Args:
        input_size: width of a frame vector, and of HuBERT; a multiple of `num_attention_heads`.
        feedforward_size: HuBERT's `intermediate_size`.
        num_encoder_layers: HuBERT's `num_hidden_layers`.
        output_size: width of the output.
        dropout_rate: dropout of hidden vectors, activations and attention.
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

        Repeats the encoder's `forward`, which modifies its input and branches on whether the mask is all true, which
        would synchronise with the GPU in every step.
        """
        encoder, length = self.encoder, mask_BT.shape[1]
        x_BTD = zero_padding(x_BTD, mask_BT)
        x_BTD = encoder.dropout(x_BTD + encoder.pos_conv_embed(x_BTD))
        attention_mask_B1TT = mask_BT[:, None, None, :].expand(-1, 1, length, -1)
        for layer in encoder.layers:
            x_BTD = layer(x_BTD, attention_mask=attention_mask_B1TT)
        return encoder.layer_norm(x_BTD)
