"""The distance to the training clips, and which of them are kept."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from hearai.data.annotations.clip import Clip
from hearai.training.inference.novelty import LEAST_LIMIT, draw_clips, limit_of, nearest_distances


def clips_of(labels: list[int]) -> list[Clip]:
    return [Clip(name=f"c{i}", start=0, end=3, labels={"gloss": k}, folder=Path("data")) for i, k in enumerate(labels)]


def test_the_nearest_clip_decides_whatever_its_length():
    known_MD = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).half()
    vectors_ND = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    assert nearest_distances(vectors_ND, known_MD).tolist() == pytest.approx([0.0, 0.2, 1.0], abs=1e-6)


def test_rare_classes_are_drawn_before_frequent_ones():
    clips = clips_of([0] * 90 + [1] * 8 + [2] * 2)
    drawn = Counter(clip.labels["gloss"] for clip in draw_clips(clips, 30))
    assert drawn == {0: 20, 1: 8, 2: 2}
    assert draw_clips(clips, 30) == draw_clips(clips, 30) and len(draw_clips(clips)) == 100


def test_the_limit_is_passed_by_one_validation_clip_in_twenty():
    distances_N = torch.arange(1, 1001) / 1000
    assert int((distances_N > limit_of(distances_N)).sum()) == 50
    assert limit_of(torch.zeros(5)) == LEAST_LIMIT
