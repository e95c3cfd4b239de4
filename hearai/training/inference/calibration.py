"""Calibration of probabilities: one temperature per head, so that clips predicted with 80 % are right 80 % of the time.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017. N clips, K classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from hearai.sign.hamnosys import MISSING

BINS = 15
"""Of the expected calibration error, as in the paper."""
LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures beyond these change no decision."""
LEAST_CLIPS = 20
"""Labelled clips of a head; a temperature that is fitted to fewer is chance."""
STEPS = 100
"""Most iterations of LBFGS; one parameter needs about ten."""


def calibrated(logits_NK: Tensor, temperature: float) -> Tensor:
    """Probabilities (N, K) float32, in the order of the logits at every temperature.

    Where classes are ranked, the logits decide: the smallest probabilities are all 0 in float32.
    """
    return (logits_NK.float() / temperature).softmax(-1)


def fit_temperatures(logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict[str, float]:
    """{head: temperature}, of the heads with at least 20 labels.

    Args:
        logits: {head: (N, K)} of validation clips, which the model was not trained on.
        labels: {head: (N,)}, class or MISSING.
    """
    known = {head: labels_N != MISSING for head, labels_N in labels.items()}
    return {
        head: fit_temperature(logits[head][mask_N], labels[head][mask_N])
        for head, mask_N in known.items()
        if mask_N.sum() >= LEAST_CLIPS
    }


def fit_temperature(logits_NK: Tensor, labels_N: Tensor) -> float:
    """The temperature at which the negative log-likelihood is least.

    If every clip is predicted correctly, that would be 0 and every probability 1. As in Platt's scaling (1999), the
    labels count as if one further clip had been of any class, so that few clips do not give certainty.
    """
    logits_NK, smoothing = logits_NK.double(), 1 / (len(labels_N) + 1)
    inverse = torch.ones((), dtype=torch.float64, requires_grad=True)  # the loss is convex in 1 / temperature
    optimizer = torch.optim.LBFGS([inverse], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(logits_NK * inverse, labels_N, label_smoothing=smoothing)
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    found = float(inverse.detach())
    return min(max(1 / found, LOWEST), HIGHEST) if found > 1 / HIGHEST else HIGHEST


def calibration_error(probabilities_NK: Tensor, labels_N: Tensor) -> float | None:
    """The expected calibration error in [0, 1]: mean gap between confidence and accuracy over 15 bins of confidence.

    Each bin counts by its clips. A bin of few clips has a gap by chance: with few clips the error is never near 0.

    Args:
        labels_N: class or MISSING; a class from K on is one that the model does not have.

    Returns:
        None without a label.
    """
    known_N = labels_N != MISSING
    if not known_N.any():
        return None
    confidence_N, predicted_N = probabilities_NK[known_N].double().max(-1)
    gap_N = (predicted_N == labels_N[known_N]).double() - confidence_N
    bin_N = (confidence_N * BINS).ceil().long().clamp(1, BINS) - 1
    gaps = torch.zeros(BINS, dtype=torch.float64).index_add(0, bin_N, gap_N)
    return float(gaps.abs().sum() / len(gap_N))
