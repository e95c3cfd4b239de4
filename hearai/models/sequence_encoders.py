"""Sequence encoders: frame vectors -> one vector. B clips, T frames, D width.

The interface: `forward(x_BTD, mask_BT)` returns (B, `width`), where `width` is the `output_size` that the constructor
was given. The mask is true at real frames: at least one per clip, padding only at the end. The content of padded
frames, NaN included, has no influence. The number of weights does not depend on the number of frames.
The table of all encoders is in `hearai.config.model_parts`.
"""

import pkgutil

import torch
from torch import nn

from hearai.config.model_parts.load_part import make_part, width_of
from hearai.config.model_parts.part_names import ENCODER
from hearai.config.model_schema import Transformer
from hearai.models.pooling import masked_mean


class FakeTransformer(nn.Module):
    """Mean over the real frames and a linear map: the baseline for all other encoders.

    It ignores the order of frames and all sizes but the output's.
    """

    def __init__(self, input_size: int, *, output_size: int, **_: float | str):
        super().__init__()
        self.width = output_size
        self.output = nn.Linear(input_size, output_size)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, output_size); frames where the mask is false have no influence."""
        return self.output(masked_mean(x_BTD, mask_BT))


def build_sequence_encoder(settings: Transformer, input_size: int) -> nn.Module:
    """The encoder that the config describes, with random weights.

    Args:
        input_size: width of a frame vector.

    Raises:
        ConfigError: no such part of the user's own, or it cannot be made.
    """
    fields = ("feedforward_size", "num_attention_heads", "num_encoder_layers", "output_size", "dropout_rate", "pooling")
    options = {name: getattr(settings, name) for name in (*fields, *settings.spec.options)}
    if settings.spec.is_own:
        own = make_part(ENCODER, settings.name, settings.kwargs, input_size, offered=options, base=nn.Module)
        width_of(ENCODER, settings.name, own)
        return own
    return pkgutil.resolve_name(settings.spec.build)(input_size, **options)
