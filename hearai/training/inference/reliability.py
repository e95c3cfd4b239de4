"""When a trained model should not be believed: what is measured on validation clips and kept with it.

N clips, K classes, M training clips, D width of the sequence encoder's output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hearai.training.inference.novelty import nearest_distances
from hearai.training.outputs.saved_state import ReliabilityContent

LEAST_PROBABILITY = 0.5
"""Of the most probable class: below it, another class is more likely than not."""
LEAST_MARGIN = 0.1
"""Between the two most probable classes, so that a head with two classes can be uncertain, too."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Temperatures of the heads, and the vectors of training clips."""

    temperatures: Mapping[str, float]
    """{head: temperature}, of the heads with enough labels in validation; logits are divided by it."""
    vectors_MD: Tensor
    """Of training clips, of length 1, float16."""
    limit: float
    """Cosine distance to the nearest of them that 95 % of the validation clips do not exceed."""

    @staticmethod
    def of_content(content: ReliabilityContent) -> "Reliability":
        """As it was read from a checkpoint."""
        return Reliability(content.temperatures, content.vectors, content.limit)

    def content(self) -> dict[str, Any]:
        """As a checkpoint holds it, see `ReliabilityContent`."""
        return {"temperatures": dict(self.temperatures), "vectors": self.vectors_MD, "limit": self.limit}

    def distances(self, vectors_ND: Tensor) -> list[float]:
        """Of N clips, to the nearest training clip: cosine distances in [0, 2]."""
        return nearest_distances(vectors_ND, self.vectors_MD).tolist()

    def is_unlike(self, distance: float) -> bool:
        """Whether a clip at this distance is unlike the training clips."""
        return distance > self.limit


def not_measured(checkpoint: Path) -> str:
    """Says that a model comes without what was measured on validation clips, and how to add it."""
    return (
        f"{checkpoint}: probabilities are not calibrated, and clips unlike the training clips are not recognised; to "
        "measure both on validation clips that it was not trained on: python experiments/evaluate.py "
        f"--checkpoint {checkpoint} --calibrate"
    )


def is_uncertain(probabilities_K: Sequence[float]) -> bool:
    """Whether the most probable class has too little probability, or hardly more than the next.

    Args:
        probabilities_K: calibrated, the largest first; two of them are enough.
    """
    first, second = (*probabilities_K[:2], 0.0)[:2]
    return first < LEAST_PROBABILITY or first - second < LEAST_MARGIN


def uncertain_clips(probabilities_NK: Tensor) -> list[bool]:
    """`is_uncertain` of N clips."""
    top_N2 = torch.topk(probabilities_NK, min(2, probabilities_NK.shape[1])).values
    return [is_uncertain(row) for row in top_N2.tolist()]
