"""Which pairs of classes are confused most."""

import pytest
from pydantic import ValidationError

from hearai.training.inference.confusion_record import Example, HeadConfusion, worst_pairs


def head(*counts: tuple[int, int, int]) -> HeadConfusion:
    return HeadConfusion(classes=9, counts=list(counts))


def test_pairs_are_ordered_by_clips_then_by_share_of_the_class() -> None:
    pairs = worst_pairs({"gloss": head((0, 0, 9), (0, 1, 2), (1, 2, 2), (2, 0, 5), (3, 3, 4))})
    assert [(pair.true, pair.predicted, pair.clips, pair.of) for pair in pairs] == [
        (2, 0, 5, 5),
        (1, 2, 2, 2),
        (0, 1, 2, 11),
    ]


def test_each_head_has_its_worst_pair_before_any_has_its_second() -> None:
    heads = {"a": head((0, 1, 1)), "b": head((0, 1, 9), (1, 0, 8)), "c": head((0, 0, 9))}
    assert [(pair.head, pair.clips) for pair in worst_pairs(heads)] == [("b", 9), ("a", 1), ("b", 8)]
    assert len(worst_pairs(heads, most=2)) == 2


def test_frames_must_be_base64() -> None:
    with pytest.raises(ValidationError):
        Example(head="gloss", true=0, predicted=1, clip="c", frames=['"><script>'])
