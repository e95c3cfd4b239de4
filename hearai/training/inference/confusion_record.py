"""What a study folder keeps of the winner's predictions on the test clips: which classes it confuses, and examples.

Imports no torch: the report reads these files, too.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import zip_longest
from typing import Annotated

from pydantic import Field

from hearai.config.validation import Count, Record

MOST_PAIRS = 6
"""Confused pairs with examples, over all heads."""
Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=40_000)]


class HeadConfusion(Record):
    """The predictions of one head, summed over runs with different seeds."""

    classes: Count
    """Those that the model has."""
    names: dict[int, str] = {}
    """{class: name} of the classes that occur, as far as lists name them."""
    counts: list[tuple[Count, Count, Count]]
    """(true class, predicted class, clips) of each pair that occurs, right or wrong."""

    def name_of(self, label: int) -> str:
        """The name of a class; its number if no list names it."""
        return self.names.get(label, str(label))

    @property
    def support(self) -> Mapping[int, int]:
        """{true class: clips}"""
        sums: Counter[int] = Counter()
        for true, _, clips in self.counts:
            sums[true] += clips
        return sums


class ConfusionRecord(Record):
    """The content of `test_confusion.json`."""

    trial: Count
    """The winner."""
    seeds: list[Count]
    """Of the runs that were scored; empty if it is the trial's own run."""
    runs: Count
    """How many runs the counts are the sum of: seeds times splits."""
    clips: Count
    """Test clips."""
    heads: dict[str, HeadConfusion]


class ConfusedPair(Record):
    """A class that was taken for another one."""

    head: str
    true: Count
    predicted: Count
    clips: Count
    """How often, over all runs."""
    of: Count
    """Predictions of clips with this true class."""


class Example(Record):
    """Frames of a clip that was misclassified, and of a clip of the class that it was taken for."""

    head: str
    true: Count
    predicted: Count
    clip: str
    frames: list[Base64]
    """JPEG files."""
    other: str | None = None
    """A clip whose true class is the predicted one; None = there is none."""
    other_frames: list[Base64] = []


class ExamplesRecord(Record):
    """The content of `test_examples.json`."""

    trial: Count
    seeds: list[Count]
    are_landmarks: bool = False
    """Whether the frames are drawn landmarks, because the model reads no images."""
    examples: list[Example]
    note: str = ""
    """Why examples are missing; empty if none is."""


def worst_pairs(heads: Mapping[str, HeadConfusion], most: int = MOST_PAIRS) -> list[ConfusedPair]:
    """The pairs of classes that are confused most often; with several heads, those of each head in turn.

    Within a head by the number of clips, then by their share of the true class; the head with the most frequent
    confusion comes first.
    """
    of_heads = sorted(
        (_pairs(head, one) for head, one in heads.items()), key=lambda pairs: -pairs[0].clips if pairs else 0
    )
    in_turn = [pair for row in zip_longest(*of_heads) for pair in row if pair is not None]
    return in_turn[:most]


def _pairs(head: str, confusion: HeadConfusion) -> list[ConfusedPair]:
    support = confusion.support
    pairs = [
        ConfusedPair(head=head, true=true, predicted=predicted, clips=clips, of=support[true])
        for true, predicted, clips in confusion.counts
        if true != predicted and clips
    ]
    return sorted(pairs, key=lambda pair: (-pair.clips, -pair.clips / pair.of, pair.true, pair.predicted))
