"""One classifier per head. B clips, D width, K classes."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from hearai.errors import ConfigError


class Heads(nn.ModuleDict):
    """{head: classifier} over one vector per clip.

    Args:
        width: width of the vector.
        heads: {head: number of classes}.
        additional_layers: hidden layers of the same width before each classifier.
        dropout_rate: dropout before each layer.
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
                raise ConfigError(f"heads: {name!r} cannot be the name of a head; choose another name") from None
        self._skipped: frozenset[str] = frozenset()

    def skip_in_training(self, names: Iterable[str]) -> None:
        """Skips heads in training mode; they get no gradient, so that weight decay does not change them either."""
        self._skipped = frozenset(names)
        for name in self._skipped:
            self[name].requires_grad_(False)

    def forward(self, x_BD: torch.Tensor) -> dict[str, torch.Tensor]:
        """{head: logits (B, K)}; in training mode without the skipped heads."""
        skipped = self._skipped if self.training else frozenset()
        return {name: classifier(x_BD) for name, classifier in self.items() if name not in skipped}


def _hidden_layer(width: int, dropout_rate: float) -> nn.Module:
    return nn.Sequential(nn.Dropout(dropout_rate), nn.Linear(width, width), nn.GELU())
