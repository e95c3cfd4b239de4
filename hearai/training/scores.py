"""What predictions are worth, head by head, beside what is to be had without looking. N clips, K classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hearai.hamnosys import MISSING
from hearai.training.objective import accuracy, confusion, macro_f1

TOP = 3


@dataclass(frozen=True)
class Floor:
    """Always answering one class: the most frequent one of the training clips."""

    label: int
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class HeadScores:
    """One head on some clips."""

    clips: int
    """Those with a label."""
    classes: int
    """That occur among the labels."""
    accuracy: float
    top3: float
    """Share of clips whose class is among the three likeliest."""
    macro_f1: float
    """Over the classes that occur, see `objective.macro_f1`."""
    floor: Floor | None
    """None where the training clips are not known."""
    confusion: Tensor
    """(K, K), true class by predicted class."""


def score_heads(
    probabilities: Mapping[str, Tensor], labels: Mapping[str, Tensor], train_counts: Mapping[str, Sequence[int]]
) -> dict[str, HeadScores]:
    """{head: scores}, without the heads that no clip has a label of.

    Args:
        probabilities: {head: (N, K)}.
        labels: {head: (N,)}, class or MISSING.
        train_counts: {head: clips of each class in training}, for the floor.
    """
    return {
        head: _score(probabilities[head], labels_N, train_counts.get(head))
        for head, labels_N in labels.items()
        if (labels_N != MISSING).any()
    }


def _score(probabilities_NK: Tensor, labels_N: Tensor, counts: Sequence[int] | None) -> HeadScores:
    known = labels_N != MISSING
    probabilities_NK, labels_N = probabilities_NK[known], labels_N[known]
    likeliest_NT = probabilities_NK.topk(min(TOP, probabilities_NK.shape[1])).indices
    matrix = confusion(probabilities_NK.argmax(-1), labels_N, probabilities_NK.shape[1])
    return HeadScores(
        clips=len(labels_N),
        classes=int((matrix.sum(1) > 0).sum()),
        accuracy=accuracy(matrix),
        top3=float((likeliest_NT == labels_N.unsqueeze(1)).any(1).float().mean()),
        macro_f1=macro_f1(matrix),
        floor=floor_of(counts, labels_N) if counts else None,
        confusion=matrix,
    )


def floor_of(counts: Sequence[int], labels_N: Tensor) -> Floor | None:
    """The scores of always answering the class with the largest of `counts` (the first of equals).

    None where there is nothing to count or nothing to answer.
    """
    known_N = labels_N[labels_N != MISSING]
    if not any(counts) or not len(known_N):
        return None
    label = max(range(len(counts)), key=lambda k: (counts[k], -k))
    matrix = confusion(torch.full_like(known_N, label), known_N, len(counts))
    return Floor(label, accuracy(matrix), macro_f1(matrix))
