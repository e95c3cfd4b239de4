"""Counts of pairs of a true and a predicted class; only pairs that occur are held. N clips, K classes, P pairs.

A matrix of K x K cells would take 39 GB where 70,000 is the highest class number, however few numbers are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hearai.sign.hamnosys import MISSING

MOST_DENSE = 500
"""Classes up to which outputs hold a row and a column for every class; of more classes only those that occur."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often each true class was predicted as each class. All tensors are int64, on the CPU."""

    num_class: int
    """K"""
    cells_P: Tensor
    """true class * K + predicted class, ascending, each once."""
    counts_P: Tensor
    """Clips of each pair, at least 1."""

    @classmethod
    def count(cls, predicted_N: Tensor, labels_N: Tensor, num_class: int) -> "Confusion":
        """The pairs of clips with a label other than MISSING.

        torchmetrics counts the same (a test compares them), but always in K x K cells, so its metrics cannot be used.
        """
        known_N = labels_N != MISSING
        cells = (labels_N[known_N].long() * num_class + predicted_N[known_N]).cpu()
        return cls(num_class, *torch.unique(cells, return_counts=True))

    @classmethod
    def of_counts(cls, cells: Tensor, counts: Tensor, num_class: int) -> "Confusion":
        """Of cells of which some may be given several times: their counts are added."""
        cells_P, pair_of = torch.unique(cells, return_inverse=True)
        return cls(num_class, cells_P, torch.zeros_like(cells_P).index_add_(0, pair_of, counts))

    @classmethod
    def of_matrix(cls, matrix_KK: Tensor) -> "Confusion":
        """The inverse of `matrix`; takes dense matrices of any integer type, too.

        Raises:
            ValueError: it is not a square matrix of counts.
        """
        if matrix_KK.ndim != 2 or matrix_KK.shape[0] != matrix_KK.shape[1]:
            raise ValueError(f"has a matrix of shape {tuple(matrix_KK.shape)}; expected a square one")
        if matrix_KK.is_meta or matrix_KK.layout not in (torch.strided, torch.sparse_coo):
            raise ValueError(f"has a matrix without values, or of layout {matrix_KK.layout}")
        if matrix_KK.is_floating_point() or matrix_KK.is_complex():
            raise ValueError(f"has a matrix of {matrix_KK.dtype}; expected integers")
        sparse = (matrix_KK if matrix_KK.is_sparse else matrix_KK.to_sparse()).coalesce()
        (true_P, predicted_P), counts_P, size = sparse.indices(), sparse.values().long(), len(matrix_KK)
        if (counts_P < 0).any() or not all(((0 <= one) & (one < size)).all() for one in (true_P, predicted_P)):
            raise ValueError("has a matrix of values that are not counts")
        held = counts_P > 0
        return cls(size, (true_P * size + predicted_P)[held], counts_P[held])

    def matrix(self) -> Tensor:
        """(K, K) as a sparse tensor: true class by predicted class, as checkpoints hold it."""
        return torch.sparse_coo_tensor(
            torch.stack([self.true_P, self.predicted_P]),
            self.counts_P,
            (self.num_class, self.num_class),
            is_coalesced=True,
            check_invariants=False,  # they hold, and checking is what loading does
        )

    def block(self, classes: Sequence[int]) -> Tensor:
        """(R, R) dense: R true classes by the same predicted classes."""
        place_K = torch.full((self.num_class,), -1)
        place_K[torch.tensor(classes)] = torch.arange(len(classes))
        rows_P, columns_P = place_K[self.true_P], place_K[self.predicted_P]
        shown_P = (rows_P >= 0) & (columns_P >= 0)
        block_RR = torch.zeros(len(classes), len(classes), dtype=torch.int64)
        block_RR[rows_P[shown_P], columns_P[shown_P]] = self.counts_P[shown_P]
        return block_RR

    def most_frequent(self, limit: int) -> list[int]:
        """At most `limit` classes, ascending: those that most often are the true or the predicted one."""
        frequency_K = self.support_K + self.predictions_K
        occurring = int((frequency_K > 0).sum())
        order_K = frequency_K.argsort(descending=True, stable=True)
        return sorted(order_K[: min(limit, occurring)].tolist())

    def dense(self) -> Tensor:
        """(K, K): only for small K."""
        return self.block(range(self.num_class))

    @property
    def true_P(self) -> Tensor:
        """The true class of each pair."""
        return self.cells_P // self.num_class

    @property
    def predicted_P(self) -> Tensor:
        """The predicted class of each pair."""
        return self.cells_P % self.num_class

    @cached_property
    def clips(self) -> Tensor:
        """() clips with a label."""
        return self.counts_P.sum()

    @cached_property
    def hits_K(self) -> Tensor:
        """Correct predictions of each class."""
        is_hit_P = self.true_P == self.predicted_P
        return self._per_class(self.true_P[is_hit_P], self.counts_P[is_hit_P])

    @cached_property
    def support_K(self) -> Tensor:
        """Clips of each class."""
        return self._per_class(self.true_P, self.counts_P)

    @cached_property
    def predictions_K(self) -> Tensor:
        """Predictions of each class, correct or not."""
        return self._per_class(self.predicted_P, self.counts_P)

    def _per_class(self, classes: Tensor, counts: Tensor) -> Tensor:
        return torch.zeros(self.num_class, dtype=torch.int64).index_add_(0, classes, counts)
