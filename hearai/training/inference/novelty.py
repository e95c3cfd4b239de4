"""How unlike the training clips a clip is: its distance to the nearest of them in the space of the model's vectors.

N clips, M training clips, D width of the sequence encoder's output. See Sun et al., Out-of-Distribution Detection with
Deep Nearest Neighbors, ICML 2022.
"""

import random
from collections.abc import Iterable

import torch
from torch import Tensor

from hearai.data.annotations.clip import Clip

MOST_CLIPS = 2_000
"""Training clips whose vectors are kept, and validation clips that are measured."""
QUANTILE = 0.95
"""Share of the validation clips that are nearer than the limit. 0.99 found far fewer strange clips (docs/models.md)."""
LEAST_LIMIT = 1e-3
"""Differences of rounding between devices are smaller."""
CLIPS_AT_ONCE = 1_024


def draw_clips(clips: Iterable[Clip], most: int = MOST_CLIPS) -> list[Clip]:
    """At most this many clips, the same ones each time: one of each combination of labels, then a second, ..."""
    groups: dict[tuple[int, ...], list[Clip]] = {}
    for clip in clips:
        groups.setdefault(tuple(clip.labels.values()), []).append(clip)
    generator = random.Random(0)
    for group in groups.values():
        generator.shuffle(group)
    rounds = max(map(len, groups.values()), default=0)
    return [group[i] for i in range(rounds) for group in groups.values() if i < len(group)][:most]


def nearest_distances(vectors_ND: Tensor, known_MD: Tensor) -> Tensor:
    """(N,) cosine distances in [0, 2] to the nearest of the known vectors; all vectors have length 1."""
    known_DM = torch.nn.functional.normalize(known_MD.float(), dim=-1).T
    parts = [1 - (part @ known_DM).max(dim=-1).values for part in vectors_ND.float().split(CLIPS_AT_ONCE)]
    return torch.cat(parts).clamp(0, 2) if parts else torch.empty(0)


def limit_of(distances_N: Tensor) -> float:
    """The distance that 95 % of the validation clips do not exceed; of fewer than 20, nearly their largest."""
    return max(float(distances_N.double().quantile(QUANTILE)), LEAST_LIMIT)
