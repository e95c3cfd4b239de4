"""Sequence encoders: frame vectors -> one vector. B clips, T frames, D width.

Each keeps one promise: `forward(x_BTD, mask_BT)` is (B, `width`), and `width` is the `output_size` it was given. The
mask is true at real frames: one at least, and padding only at the end. What the padding holds, NaN included, changes
nothing. The number of weights does not depend on the number of frames.
"""

import torch
from torch import nn

from hearai.models.hubert import HubertTransformer
from hearai.models.lstm import LSTMEncoder
from hearai.models.pooling import masked_mean
from hearai.models.transformer import SignLanguageCnnTransformer, SignLanguageTransformer


class FakeTransformer(nn.Module):
    """Mean over the real frames and a linear map: the floor that every other must beat.

    It sees no order of frames. The sizes of blocks are not used.
    """

    def __init__(self, input_size: int, *, output_size: int, **_: float | str):
        super().__init__()
        self.width = output_size
        self.output = nn.Linear(input_size, output_size)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, output_size); frames where the mask is false have no influence."""
        return self.output(masked_mean(x_BTD, mask_BT))


TRANSFORMERS = {
    "sign_language_transformer": SignLanguageTransformer,
    "sign_language_cnn_transformer": SignLanguageCnnTransformer,
    "hubert_transformer": HubertTransformer,
    "lstm": LSTMEncoder,
    "fake_transformer": FakeTransformer,
}
"""`transformer.name` -> sequence encoder."""
