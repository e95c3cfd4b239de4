"""Scores of predictions, head by head, and of always predicting the most frequent class. N clips, K classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hearai.data.annotations.clip import Clip
from hearai.metrics import MACRO_F1
from hearai.sign.hamnosys import MISSING
from hearai.training.outputs.confusion import Confusion
from hearai.training.outputs.ranks import Ranks, ranks_of

TOP_CLASSES = 3


@dataclass(frozen=True)
class MajorityBaseline:
    """Scores of always predicting one class: the most frequent one of the training clips."""

    label: int
    """The class."""
    accuracy: float
    macro_f1: float
    ranks: Mapping[str, float | None] = field(default_factory=dict)
    """{score: value} as in `Ranks.scores`, of ranking the classes by their frequency."""


@dataclass(frozen=True)
class HeadScores:
    """One head on some clips."""

    clips: int
    """Clips with a label."""
    classes: int
    """Classes that occur among the labels."""
    accuracy: float
    top3: float
    """Share of clips whose class is among the three most probable."""
    macro_f1: float
    """Over the classes that occur, see `macro_f1`."""
    ranks: Mapping[str, float | None]
    """{score: value}, see `Ranks.scores`."""
    majority: MajorityBaseline | None
    """None where the training clips are unknown."""
    confusion: Confusion
    """Of K classes, or more if there are labels from K on."""


def score_heads(
    outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor], train_counts: Mapping[str, Sequence[int]]
) -> dict[str, HeadScores]:
    """{head: scores}, without heads for which no clip has a label.

    Args:
        outputs: {head: (N, K)}, logits or probabilities: only their order counts.
        labels: {head: (N,)}, class or MISSING; a class from K on is one that the model does not have, so that every
            prediction is wrong.
        train_counts: {head: clips of each class in training}, for the majority baseline.
    """
    return {
        head: _score(outputs[head], labels_N, train_counts.get(head))
        for head, labels_N in labels.items()
        if (labels_N != MISSING).any()
    }


def _score(outputs_NK: Tensor, labels_N: Tensor, counts: Sequence[int] | None) -> HeadScores:
    known = labels_N != MISSING
    outputs_NK, labels_N = outputs_NK[known], labels_N[known]
    top_N3 = outputs_NK.topk(min(TOP_CLASSES, outputs_NK.shape[1])).indices
    num_class = max(outputs_NK.shape[1], int(labels_N.max()) + 1)
    confusion = Confusion.count(outputs_NK.argmax(-1), labels_N, num_class)
    return HeadScores(
        clips=len(labels_N),
        classes=int((confusion.support_K > 0).sum()),
        accuracy=accuracy(confusion),
        top3=float((top_N3 == labels_N.unsqueeze(1)).any(1).float().mean()),
        macro_f1=macro_f1(confusion),
        ranks=rank_scores(outputs_NK, labels_N),
        majority=majority_baseline([*counts, *[0] * (num_class - len(counts))], labels_N) if counts else None,
        confusion=confusion,
    )


def majority_baseline(counts: Sequence[int], labels_N: Tensor) -> MajorityBaseline | None:
    """The scores of always predicting the class with the largest of `counts` (the first of equal ones).

    None without counts or without labels.
    """
    known_N = labels_N[labels_N != MISSING]
    if not any(counts) or not len(known_N):
        return None
    label = max(range(len(counts)), key=lambda k: (counts[k], -k))
    confusion = Confusion.count(torch.full_like(known_N, label), known_N, len(counts))
    counts_NK = torch.tensor(counts).expand(len(known_N), -1)
    return MajorityBaseline(label, accuracy(confusion), macro_f1(confusion), rank_scores(counts_NK, known_N))


def rank_scores(scores_NK: Tensor, labels_N: Tensor) -> dict[str, float | None]:
    """As `Ranks.scores`; there must be at least one label."""
    return Ranks.count(ranks_of(scores_NK, labels_N).cpu(), labels_N.cpu(), scores_NK.shape[1]).scores()


def macro_f1(confusion: Confusion) -> float:
    """Mean F1 over the classes with at least one true example; there must be at least one.

    A class that was predicted but never true lowers the precision of others and has no F1 itself
    (torchmetrics' macro average would count it as 0).
    """
    hits_K, support_K = confusion.hits_K.double(), confusion.support_K.double()
    f1_K = 2 * hits_K / (support_K + confusion.predictions_K).clamp(min=1)
    return float(f1_K[support_K > 0].mean())


def accuracy(confusion: Confusion) -> float:
    """Share of correct predictions; there must be at least one example."""
    return float(confusion.hits_K.sum() / confusion.clips)


@dataclass(frozen=True)
class Evaluation:
    """Loss and confusions of a model on a split, over all its clips and all workers."""

    loss: float
    """The training loss (with the loss weights); not the score."""
    confusions: Mapping[str, Confusion]
    """{head: its counts} for heads with at least one label in the split."""
    ranks: Mapping[str, Ranks] = field(default_factory=dict)
    """{head: ranks of the true classes}, of the same heads; empty where they were not asked for."""
    predictions: Mapping[str, Tensor] = field(default_factory=dict)
    """{head: (N,) predicted class of each of this worker's clips, in the order of the batches}, of all heads."""

    @property
    def heads(self) -> dict[str, dict[str, float]]:
        """{head: {"accuracy": share, "macro_f1": score}}."""
        return {
            head: {"accuracy": accuracy(confusion), MACRO_F1: macro_f1(confusion)}
            for head, confusion in self.confusions.items()
        }

    @property
    def all_scores(self) -> dict[str, dict[str, float | None]]:
        """{head: {"accuracy" or a name of `metrics.SCORES`: score}}, see `Ranks.scores`."""
        return {head: {**scores, **self.ranks[head].scores()} for head, scores in self.heads.items()}

    @property
    def macro_f1(self) -> float:
        """Mean macro-F1 over all heads, in [0, 1], whatever the loss weights: the score where no heads are named."""
        return self.score(())

    def score(self, heads: Sequence[str], score: str = MACRO_F1) -> float:
        """Mean of a score over these heads (no names = all), in [0, 1]; heads without labels here are left out.

        Args:
            score: a name of `metrics.SCORES`; heads where it has no meaning are left out.
        """
        values = [self.score_of(head, score) for head in self.confusions if head in heads or not heads]
        return _mean([value for value in values if value is not None])

    def score_of(self, head: str, score: str) -> float | None:
        """A score of one head; None where it has no meaning."""
        return macro_f1(self.confusions[head]) if score == MACRO_F1 else self.ranks[head].scores()[score]

    @property
    def accuracy(self) -> float:
        """Mean accuracy over heads."""
        return _mean([accuracy(one) for one in self.confusions.values()])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def class_counts(clips: Iterable[Clip], head: str, num_class: int) -> list[int]:
    """Number of clips of each class of a head."""
    counts = [0] * num_class
    for clip in clips:
        if clip.labels[head] != MISSING:
            counts[clip.labels[head]] += 1
    return counts


def labels_of(clips: Sequence[Clip], heads: Iterable[str]) -> dict[str, Tensor]:
    """{head: labels (N,)}, class or MISSING."""
    return {head: torch.tensor([clip.labels[head] for clip in clips]) for head in heads}
