"""The plan of a demo dataset: every class occurs often enough, with enough signers."""

from collections import Counter

import numpy as np
import pytest

from hearai.data.demo.build import SIGNERS
from hearai.data.demo.labels import plan_clips
from hearai.sign.hamnosys import HEADS


@pytest.mark.parametrize("clips", [288, 500, 1600])
def test_every_occurring_class_has_eight_clips(clips: int) -> None:
    plan = plan_clips(clips, SIGNERS, seed=0)
    for head in HEADS.values():
        found = Counter(clip.labels[head.name] for clip in plan)
        # y class 0 does not occur in real notations; every class that does is rendered
        assert set(found) == {c.index for c in head.classes if c.count > 0}, head.name
        assert min(found.values()) >= 8, head.name


def test_every_class_and_every_sign_has_eight_signers() -> None:
    plan = plan_clips(1600, SIGNERS, seed=0)
    for head in HEADS:
        for label in {clip.labels[head] for clip in plan}:
            assert len({clip.signer for clip in plan if clip.labels[head] == label}) >= 8
    for entry in {clip.entry for clip in plan}:
        assert len({clip.signer for clip in plan if clip.entry == entry}) == 8


def test_frequent_classes_stay_more_frequent() -> None:
    plan = plan_clips(1600, SIGNERS, seed=0)
    for head in HEADS.values():
        found = Counter(clip.labels[head.name] for clip in plan)
        top = max(head.classes, key=lambda c: c.count).index
        assert found[top] > 1.5 * np.median(list(found.values())), head.name
