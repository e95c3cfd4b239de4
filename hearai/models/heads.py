"""One classifier per head. B clips, D width, K classes."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from hearai.errors import ConfigError


class Heads(nn.ModuleDict):
    """{head: classifier} over one vector a clip.

    Args:
        width: of the vector.
        heads: {head: number of classes}.
        additional_layers: hidden layers of the same width before each classifier.
        dropout_rate: before each layer.
    """

    def __init__(
        self,
        width: int,
        heads: Mapping[str, int],
        *,
        additional_layers: int = 0,
        dropout_rate: float = 0.0,
    ):
        super().__init__()
        for name, num_class in heads.items():
            hidden = [_hidden_layer(width, dropout_rate) for _ in range(additional_layers)]
            classifier = nn.Sequential(*hidden, nn.Dropout(dropout_rate), nn.Linear(width, num_class))
            try:
                self[name] = classifier
            except KeyError:
                raise ConfigError(f"heads: {name!r} cannot name a head; give another name") from None
        self._idle: frozenset[str] = frozenset()

    def leave_idle(self, names: Iterable[str]) -> None:
        """Training passes over these heads; they get no gradient, so that weight decay leaves them alone too."""
        self._idle = frozenset(names)
        for name in self._idle:
            self[name].requires_grad_(False)

    def forward(self, x_BD: torch.Tensor) -> dict[str, torch.Tensor]:
        """{head: logits (B, K)}; in training mode, of those that are not idle."""
        return {
            name: classifier(x_BD) for name, classifier in self.items() if not (self.training and name in self._idle)
        }


def _hidden_layer(width: int, dropout_rate: float) -> nn.Module:
    return nn.Sequential(nn.Dropout(dropout_rate), nn.Linear(width, width), nn.GELU())
