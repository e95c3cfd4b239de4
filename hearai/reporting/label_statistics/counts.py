"""Counts of the classes of each head of an annotation file, and the names of the classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hearai.data.annotations.metadata import read_class_names
from hearai.reporting.label_statistics.reader import GLOSS, read_labels
from hearai.sign.hamnosys import HEADS, MISSING, short_meaning

GLOSS_HEADS = (GLOSS, "gloss_id")
"""Heads whose classes are named by `glosses.csv`."""

MAX_BARS = 40
"""Classes that a bar chart shows; if there are more, the most frequent ones."""


@dataclass(frozen=True)
class HeadCounts:
    """Clips per class of one head. K classes."""

    head: str
    names: Sequence[str]
    """The meaning of each class, (K,)."""
    counts: Sequence[int]
    """Clips of each class, (K,)."""
    missing: int
    """Clips whose label is MISSING."""

    @cached_property
    def labelled(self) -> int:
        """Clips with a label; shares are relative to these."""
        return sum(self.counts)

    @cached_property
    def seen(self) -> int:
        """Classes with at least one clip."""
        return sum(count > 0 for count in self.counts)

    def with_clips(self, number: int) -> int:
        """The number of classes that have exactly this many clips."""
        return self.counts.count(number)

    @cached_property
    def ranked(self) -> list[int]:
        """All classes, most frequent first, ties by class number."""
        return sorted(range(len(self.counts)), key=lambda index: (-self.counts[index], index))

    @property
    def most_frequent(self) -> int | None:
        """The class with the most clips; None if no clip has a label."""
        return self.ranked[0] if self.labelled else None

    def share(self, index: int) -> float | None:
        """Share of the labelled clips, in [0, 1]; None if there are none."""
        return self.counts[index] / self.labelled if self.labelled else None

    @property
    def majority_accuracy(self) -> float | None:
        """Accuracy of always predicting the most frequent class: its share."""
        return self.share(self.ranked[0]) if self.labelled else None

    @property
    def majority_macro_f1(self) -> float | None:
        """Macro-F1 of always predicting the most frequent class, as `hearai.training.scores` computes it.

        In closed form, because a matrix of 100,000 classes does not fit in memory: only that class has an F1
        above 0, with precision = its share and recall 1, and the mean is over the classes seen.
        """
        if not self.labelled:
            return None
        top = self.counts[self.ranked[0]]
        return 2 * top / (top + self.labelled) / self.seen


def count_labels(path: Path, separator: str | None = None) -> list[HeadCounts]:
    """The heads of an annotation file in the order of its columns.

    A HamNoSys head has all the classes of `hearai.sign.hamnosys`, any other head those up to the highest label or
    name. Glosses are named by `glosses.csv` (columns gloss_id, and word or name) in the file's folder or its parent.

    Raises:
        DataError: every invalid row of the file, or of its class lists.
    """
    labels = read_labels(path, separator)
    names = read_class_names(path.absolute().parent)
    listed = {head: names.get(GLOSS if head in GLOSS_HEADS else head, {}) for head in labels}
    return [_counts(head, values, listed[head]) for head, values in labels.items()]


def class_label(counts: HeadCounts, index: int) -> str:
    """`chest (14)`: name and number of a class, or `class 14` if it has no name."""
    name = counts.names[index]
    return name if name == f"class {index}" else f"{name} ({index})"


def _counts(head: str, labels: Sequence[int], words: Mapping[int, str]) -> HeadCounts:
    found = Counter(labels)
    missing = found.pop(MISSING, 0)
    if head in HEADS:
        names = [short_meaning(one.meaning) for one in HEADS[head].classes]
    else:
        number = max([*found, *words], default=-1) + 1
        names = [words.get(index, f"class {index}") for index in range(number)]
    return HeadCounts(head, names, [found[index] for index in range(len(names))], missing)
