"""A bidirectional LSTM over the frames of a sign. B clips, T frames, D input width, H units of a direction."""

import torch
from torch import nn

from hearai.errors import pick
from hearai.models.pooling import POOLINGS, zero_padding


class LSTMEncoder(nn.Module):
    """Bidirectional LSTM over the frames, pooled over the real ones, linear map to `output_size`.

    Hochreiter & Schmidhuber 1997; both directions after Schuster & Paliwal 1997. Padding has to be at a clip's end, as
    everywhere here. `num_attention_heads` has no meaning.

    Args:
        input_size: width of a frame vector.
        feedforward_size: units of each layer: half of them forward in time, half backward (rounded up).
        num_encoder_layers: layers.
        output_size: width of the result.
        dropout_rate: after each layer, the last one too: of one layer it would have no meaning between layers.
        pooling: a name of `POOLINGS`.
    """

    def __init__(
        self,
        input_size: int,
        *,
        feedforward_size: int,
        num_encoder_layers: int,
        output_size: int,
        dropout_rate: float,
        num_attention_heads: int | None = None,
        pooling: str = "mean",
    ):
        super().__init__()
        self.width = output_size
        hidden_size = (feedforward_size + 1) // 2
        sizes = [input_size] + [2 * hidden_size] * num_encoder_layers
        self.layers = nn.ModuleList(BothWays(size, hidden_size) for size in sizes[:-1])
        self.dropout = nn.Dropout(dropout_rate)
        self.pooling = pick(POOLINGS, pooling, "transformer.pooling")(sizes[-1])
        self.output = nn.Linear(sizes[-1], output_size)

    def forward(self, x_BTD: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, output_size); frames where the mask is false have no influence."""
        x_BTD = zero_padding(x_BTD, mask_BT)
        reversal_BT = reversed_times(mask_BT)
        for layer in self.layers:
            x_BTD = self.dropout(layer(x_BTD, reversal_BT))
        return self.output(self.pooling(x_BTD, mask_BT))


class BothWays(nn.Module):
    """One LSTM forward and one backward in time, side by side.

    Two one-way LSTMs, and not PyTorch's bidirectional one: that starts backward in the padding, unless the clips are
    packed, which takes their lengths to the CPU and cannot be exported.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.forward_in_time = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backward_in_time = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, x_BTD: torch.Tensor, reversal_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, 2H)."""
        forward_BTH, _ = self.forward_in_time(x_BTD)
        backward_BTH, _ = self.backward_in_time(_at_times(x_BTD, reversal_BT))
        return torch.cat((forward_BTH, _at_times(backward_BTH, reversal_BT)), dim=-1)


def reversed_times(mask_BT: torch.Tensor) -> torch.Tensor:
    """(B, T): which frame comes t-th when the real frames run backward and padding stays at the end.

    Done twice, it is undone.
    """
    time_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    mirrored_BT = mask_BT.sum(1, keepdim=True) - 1 - time_T
    return torch.where(mirrored_BT >= 0, mirrored_BT, time_T)


def _at_times(x_BTD: torch.Tensor, time_BT: torch.Tensor) -> torch.Tensor:
    return x_BTD.gather(1, time_BT.unsqueeze(-1).expand_as(x_BTD))
