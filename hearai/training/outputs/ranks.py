"""Counts of the rank that the true class has among a head's predictions. N clips, K classes, P pairs.

Top-k, recall@k and the mean reciprocal rank (MRR) of sign recognition and of sign retrieval follow from them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hearai.metrics import TOP, has_meaning
from hearai.training.outputs.confusion import Confusion

RANKED_AT_ONCE = 2**22
"""Scores: those of all clips at once would need gigabytes where there are very many classes."""


def ranks_of(scores_NK: Tensor, labels_N: Tensor) -> Tensor:
    """(N,) rank of each label's score, int64: 1 = the highest; 0 = MISSING, or a class that the model does not have.

    Equal scores are ordered by class, as by argmax. A score that is not a number ranks last, and before all others.
    """
    clips = max(1, RANKED_AT_ONCE // scores_NK.shape[1])
    parts = zip(scores_NK.split(clips), labels_N.split(clips), strict=True)
    return torch.cat([_ranks(scores, labels) for scores, labels in parts])


def _ranks(scores_NK: Tensor, labels_N: Tensor) -> Tensor:
    num_class = scores_NK.shape[1]
    label_N1 = labels_N.long().clamp(0, num_class - 1).unsqueeze(1)
    own_N1 = scores_NK.gather(1, label_N1)
    is_before_K = torch.arange(num_class, device=scores_NK.device) < label_N1
    is_ahead_NK = ~(scores_NK <= own_N1) | ((scores_NK == own_N1) & is_before_K)  # <= is false for NaN
    is_class_N = (labels_N >= 0) & (labels_N < num_class)
    return (is_ahead_NK.sum(1) + 1).clamp(max=num_class) * is_class_N


@dataclass(frozen=True, eq=False)
class Ranks:
    """How often a class had which rank. There must be at least one clip with a label to compute scores."""

    num_class: int
    """K: classes that the model ranks."""
    counts: Confusion
    """True class by rank, in place of the predicted class; rank 0 = a class that the model does not have."""

    @classmethod
    def count(cls, ranks_N: Tensor, labels_N: Tensor, num_class: int) -> "Ranks":
        """Of clips with a label other than MISSING.

        Args:
            ranks_N: see `ranks_of`.
            num_class: classes that the model ranks; labels may be larger.
        """
        size = max(num_class, int(labels_N.max()) + 1 if len(labels_N) else 0)
        return cls(num_class, Confusion.count(ranks_N, labels_N, size + 1))

    def scores(self) -> dict[str, float | None]:
        """{name in `metrics.SCORES`: score in [0, 1]} of all but macro-F1; None for top-k of at most k classes.

        Per class means the mean over the classes that occur.
        """
        found: dict[str, float | None] = {}
        support_C = self.counts.support_K
        for name, k in TOP.items():
            hits_C = self._hits(k)
            share_C = hits_C[support_C > 0].double() / support_C[support_C > 0]
            share = share_C.mean() if name.endswith("_per_class") else hits_C.sum() / self.counts.clips
            found[name] = float(share) if has_meaning(name, self.num_class) else None
        return {**found, "mrr": self._mean_reciprocal()}

    def _hits(self, k: int) -> Tensor:
        """Clips of each class with a rank up to k."""
        rank_P = self.counts.predicted_P
        is_hit_P = (rank_P >= 1) & (rank_P <= k)
        hits_C = torch.zeros(self.counts.num_class, dtype=torch.int64)
        return hits_C.index_add_(0, self.counts.true_P[is_hit_P], self.counts.counts_P[is_hit_P])

    def _mean_reciprocal(self) -> float:
        rank_P = self.counts.predicted_P
        reciprocal_P = torch.where(rank_P > 0, 1 / rank_P.clamp(min=1).double(), 0.0)
        return float((reciprocal_P * self.counts.counts_P).sum() / self.counts.clips)
