"""Chooses clips that represent a dataset: classes first, then signers."""

import heapq
import random
from collections.abc import Sequence

from hearai.data.annotations.clip import Clip
from hearai.sign.hamnosys import MISSING

SEED = 0
"""Of the order among clips that add equally much: a dataset always gives the same sample."""


def represent(clips: Sequence[Clip], most: int) -> list[Clip]:
    """Up to `most` clips, in the order given, that show as many classes of all heads as possible, then signers.

    Each step takes the clip with the most classes that no chosen one shows; among equals one of another signer, then
    at random. A clip adds less the more are chosen, so a number that was computed before is an upper bound, and few are
    computed again.
    """
    order = list(range(len(clips)))
    random.Random(SEED).shuffle(order)
    shown: set[tuple[str, object]] = set()
    heap = [(*_added(clips[index], shown), place, index) for place, index in enumerate(order)]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < most:
        *_, place, index = heapq.heappop(heap)
        now = (*_added(clips[index], shown), place, index)
        if heap and now > heap[0]:
            heapq.heappush(heap, now)
            continue
        chosen.append(index)
        shown |= _classes(clips[index]) | {_signer(clips[index])}
    return [clips[index] for index in sorted(chosen)]


def _added(clip: Clip, shown: set[tuple[str, object]]) -> tuple[int, int]:
    """How many classes and signers a clip adds, negative: the smallest entry of a heap comes first."""
    return -len(_classes(clip) - shown), -(_signer(clip) not in shown)


def _classes(clip: Clip) -> set[tuple[str, object]]:
    return {(head, label) for head, label in clip.labels.items() if label != MISSING}


def _signer(clip: Clip) -> tuple[str, object]:
    return "signer of", (clip.dataset_name, clip.signer)


def count_classes(clips: Sequence[Clip], head: str) -> int:
    """The number of classes of a head that the clips have."""
    return len({clip.labels[head] for clip in clips if clip.labels.get(head, MISSING) != MISSING})
