"""A bidirectional LSTM over the frames of a clip. B clips, T frames, D input width, H units per direction."""

import torch
from torch import nn

from hearai.errors import pick
from hearai.models.pooling import POOLINGS, zero_padding


class LSTMEncoder(nn.Module):
    """Bidirectional LSTM over the frames, pooled over the real ones, with a linear map to `output_size`.

    Hochreiter & Schmidhuber 1997; bidirectional after Schuster & Paliwal 1997. Padding must be at the end of a clip.
    `num_attention_heads` is ignored.

    Args:
        input_size: width of a frame vector.
        feedforward_size: units per layer: half of them forward in time, half backward (rounded up).
        num_encoder_layers: number of layers.
        output_size: width of the output.
        dropout_rate: dropout after each layer, including the last, so that it has an effect with one layer too.
        pooling: a key of `POOLINGS`.
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
        self.layers = nn.ModuleList(BidirectionalLayer(size, hidden_size) for size in sizes[:-1])
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


class BidirectionalLayer(nn.Module):
    """An LSTM forward in time and one backward in time, with concatenated outputs.

    Two unidirectional LSTMs instead of PyTorch's bidirectional one, which starts its backward pass in the padding,
    unless the clips are packed, which copies their lengths to the CPU and cannot be exported.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.forward_in_time = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backward_in_time = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, x_BTD: torch.Tensor, reversal_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, 2H)."""
        forward_BTH, _ = self.forward_in_time(x_BTD)
        backward_BTH, _ = self.backward_in_time(_reorder(x_BTD, reversal_BT))
        return torch.cat((forward_BTH, _reorder(backward_BTH, reversal_BT)), dim=-1)


def reversed_times(mask_BT: torch.Tensor) -> torch.Tensor:
    """(B, T): indices that reverse the real frames and leave padding at the end. Its own inverse."""
    time_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    reversed_BT = mask_BT.sum(1, keepdim=True) - 1 - time_T
    return torch.where(reversed_BT >= 0, reversed_BT, time_T)


def _reorder(x_BTD: torch.Tensor, time_BT: torch.Tensor) -> torch.Tensor:
    return x_BTD.gather(1, time_BT.unsqueeze(-1).expand_as(x_BTD))
