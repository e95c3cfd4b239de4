"""The training loss.

Losses and label weights are summed over batches and workers first and divided once, so that no result depends on how
the clips were divided into batches.

H heads, B clips, K classes.
"""

import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hearai.config.config import Config
from hearai.config.model_parts import LOSSES
from hearai.config.model_parts.load_part import make_part, takes
from hearai.config.model_parts.part_names import LOSS
from hearai.data.annotations.load import Data
from hearai.sign.hamnosys import MISSING

Loss = Callable[[Tensor, Tensor, float], Tensor]
"""(logits (B, K), labels (B,), label smoothing) -> losses (B,); 0 where a label is MISSING, or ignored there."""


def trained_heads(config: Config, device: torch.device) -> tuple[list[str], Tensor]:
    """Names and loss weights (H,) of the heads that are trained: those with a weight above 0."""
    weights = {head: parameters.loss_weight for head, parameters in config.active_heads.items()}
    trained = [head for head, weight in weights.items() if weight > 0]
    return trained, torch.tensor([weights[head] for head in trained], device=device)


def build_class_weights(config: Config, data: Data, device: torch.device) -> dict[str, Tensor] | None:
    """{trained head: weights (K,)} for `train_parameters.class_weights`; None where labels are not weighted."""
    if config.train_parameters.class_weights == "none":
        return None
    return {
        head: balanced_weights([clip.labels[head] for clip in data.split.train], data.num_class[head]).to(device)
        for head, parameters in config.active_heads.items()
        if parameters.loss_weight > 0
    }


def balanced_weights(labels: Sequence[int], num_class: int) -> Tensor:
    """Weights (K,) inverse to the frequency of each class among `labels`; MISSING is not a class.

    N labels of C different classes give a class with n of them the weight N / (C n) (King & Zeng 2001,
    "Logistic regression in rare events data"; scikit-learn's "balanced"): the mean over the labels is 1.
    A class that does not occur gets 0, which no label uses.
    """
    counts = torch.bincount(torch.tensor([label for label in labels if label != MISSING]).long(), minlength=num_class)
    balanced = counts.sum() / ((counts > 0).sum() * counts)
    return torch.where(counts > 0, balanced, 0.0)


def head_losses(
    logits: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    heads: Sequence[str],
    kind: str | Loss,
    *,
    smoothing: float = 0.0,
    class_weights: Mapping[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Sum of the losses (H,) of `heads`, and the sum of the label weights (H,) by which to divide it.

    MISSING labels count in neither. The class weight multiplies the complete loss of a label, including the smoothed
    part.

    Args:
        logits: {head: (B, K)}.
        labels: {head: (B,)}, class or MISSING.
        kind: one of `LOSSES` (bce: on one-hot labels, mean over classes), or what `build_loss` gives.
        smoothing: share of each label that is distributed over all K classes, in [0, 1).
        class_weights: {head: (K,)}; None = all 1.
    """
    loss = pkgutil.resolve_name(LOSSES[kind]) if isinstance(kind, str) else kind
    losses = [loss(logits[head], labels[head], smoothing) for head in heads]
    weights = [_label_weights(labels[head], head, class_weights) for head in heads]
    sums = torch.stack([(loss_B * weight_B).sum() for loss_B, weight_B in zip(losses, weights, strict=True)])
    return sums, label_sums(labels, heads, class_weights)


def label_sums(
    labels: Mapping[str, Tensor], heads: Sequence[str], class_weights: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Sum of the label weights (H,) of `heads`; without class weights, the number of labels."""
    return torch.stack([_label_weights(labels[head], head, class_weights).sum() for head in heads])


def weighted_loss(sums: Tensor, counts: Tensor, weights: Tensor) -> Tensor:
    """sum(weight * mean loss) / sum(weight) over heads; a head without labels adds 0, not NaN.

    Args:
        sums, counts, weights: (H,), as `head_losses` gives them.
    """
    return (weights * sums / counts.where(counts > 0, 1)).sum() / weights.sum()


def _label_weights(labels_B: Tensor, head: str, class_weights: Mapping[str, Tensor] | None) -> Tensor:
    """(B,), 0 where the label is MISSING."""
    known_B = labels_B != MISSING
    return known_B if class_weights is None else class_weights[head][labels_B.clamp(min=0)] * known_B


def build_loss(config: Config, device: torch.device) -> Loss:
    """The loss that a config names.

    Raises:
        ConfigError: no such part of the user's own, or it cannot be made.
    """
    train = config.train_parameters
    if train.loss in LOSSES:
        return pkgutil.resolve_name(LOSSES[train.loss])
    own = make_part(LOSS, train.loss, train.loss_kwargs, base=torch.nn.Module).to(device)
    smooths = takes_smoothing(own)

    def loss(logits_BK: Tensor, labels_B: Tensor, smoothing: float) -> Tensor:
        options = {"label_smoothing": smoothing} if smooths else {}
        loss_B = own(logits_BK.float(), labels_B.clamp(min=0), **options)
        return loss_B.where(labels_B != MISSING, 0)

    return loss


def takes_smoothing(own: torch.nn.Module) -> bool:
    """Whether a loss of the user's own takes `label_smoothing`; without it, only 0 is allowed."""
    return takes(inspect.signature(own.forward), "label_smoothing")


def cross_entropy(logits_BK: Tensor, labels_B: Tensor, smoothing: float) -> Tensor:
    """A `Loss`."""
    return F.cross_entropy(
        logits_BK.float(), labels_B, ignore_index=MISSING, reduction="none", label_smoothing=smoothing
    )


def bce(logits_BK: Tensor, labels_B: Tensor, smoothing: float) -> Tensor:
    """A `Loss`."""
    classes = logits_BK.shape[-1]
    target_BK = F.one_hot(labels_B.clamp(min=0), classes) * (1 - smoothing) + smoothing / classes
    return F.binary_cross_entropy_with_logits(logits_BK.float(), target_BK, reduction="none").mean(-1)
