"""The facts of a dataset that a search keeps in its study folder: clips, signers, classes, split, and padding.

The report shows them, also where the dataset itself is not at hand.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hearai.config.config import Config
from hearai.config.validation import Count, Record
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data
from hearai.data.annotations.split import PARTS
from hearai.files import atomic_write_text
from hearai.sign.hamnosys import MISSING


class PartFacts(Record):
    """The training, validation or test clips."""

    clips: Count
    signers: Count
    """Known ones."""
    unknown_signer: Count
    """Clips whose signer is unknown."""


class HeadFacts(Record):
    """The labels of one head."""

    classes: Count
    """Those that the model has, whether or not clips have them."""
    counts: dict[str, dict[int, Count]]
    """{train, val or test: {class: clips}}, only classes that occur."""

    def labelled(self, part: str) -> int:
        """Clips with a label."""
        return sum(self.counts.get(part, {}).values())

    def untrained(self, part: str) -> tuple[int, int]:
        """(classes, clips) of a part whose class no training clip has."""
        trained = self.counts.get("train", {})
        clips = [count for label, count in self.counts.get(part, {}).items() if label not in trained]
        return len(clips), sum(clips)


class PaddingFacts(Record):
    """How clips fit the number of frames that the base config's model sees."""

    num_segments: Count
    """Frames of a clip that the model sees, at most."""
    time: float | None
    """Seconds between them; None = spread over the clip."""
    padded: Count
    """Clips with fewer frames: the rest is masked."""
    missing_share: float
    """Masked share of all frames that the model sees, in [0, 1)."""


class DatasetFacts(Record):
    """The clips of a search, when it was started or continued for the last time."""

    datasets: dict[str, Count]
    """{dataset: clips}"""
    frames: tuple[Count, Count, Count]
    """Of a clip: fewest, median, most."""
    parts: dict[str, PartFacts]
    """{train, val or test: its clips}"""
    shared_signers: Count
    """Signers with clips in more than one part."""
    heads: dict[str, HeadFacts]
    padding: PaddingFacts
    seen: dict[str, Count] | None = None
    """{val, test: clips on which the run was trained whose weights all trials start with}; None = no run, unknown, or a
    file of an earlier version."""

    @property
    def clips(self) -> int:
        """All of them."""
        return sum(self.datasets.values())


def dataset_facts(data: Data, config: Config, seen: Mapping[str, int] | None = None) -> DatasetFacts:
    """The facts of a split dataset.

    Validation clips that are trained on as well count in both parts.

    Args:
        config: says how many frames of a clip the model sees.
        seen: see `DatasetFacts`.
    """
    parts = {part: getattr(data.split, part) for part in PARTS}
    lengths = [clip.end - clip.start + 1 for clip in data.clips]
    return DatasetFacts(
        datasets=dict(Counter(clip.dataset_name for clip in data.clips)),
        frames=(min(lengths), round(statistics.median(lengths)), max(lengths)),
        parts={part: _part_facts(clips) for part, clips in parts.items()},
        shared_signers=_shared_signers(parts),
        heads={head: _head_facts(parts, head, classes) for head, classes in data.num_class.items()},
        padding=_padding(data.clips, config),
        seen=None if seen is None else dict(seen),
    )


def write_dataset_facts(facts: DatasetFacts, path: Path) -> None:
    """Writes the facts as JSON, atomically."""
    atomic_write_text(path, facts.model_dump_json(indent=1) + "\n")


def _part_facts(clips: Sequence[Clip]) -> PartFacts:
    signers = {clip.signer for clip in clips if clip.signer is not None}
    unknown = sum(clip.signer is None for clip in clips)
    return PartFacts(clips=len(clips), signers=len(signers), unknown_signer=unknown)


def _shared_signers(parts: Mapping[str, Iterable[Clip]]) -> int:
    seen: dict[str, set[str]] = {}
    for part, clips in parts.items():
        for clip in clips:
            if clip.signer is not None:
                seen.setdefault(clip.signer, set()).add(part)
    return sum(len(found) > 1 for found in seen.values())


def _head_facts(parts: Mapping[str, Iterable[Clip]], head: str, classes: int) -> HeadFacts:
    counts = {
        part: dict(sorted(Counter(clip.labels[head] for clip in clips if clip.labels[head] != MISSING).items()))
        for part, clips in parts.items()
    }
    return HeadFacts(classes=classes, counts=counts)


def _padding(clips: Sequence[Clip], config: Config) -> PaddingFacts:
    from hearai.data.frame_sampling import FrameSampler  # imports torch, which a report does not need

    train = config.train_parameters
    spans = [(clip.start, clip.end, clip.fps) for clip in clips]
    lengths_N = FrameSampler(spans, num_segments=train.num_segments, time=train.time).lengths_N
    return PaddingFacts(
        num_segments=train.num_segments,
        time=train.time,
        padded=int((lengths_N < train.num_segments).sum()),
        missing_share=1 - float(lengths_N.double().mean()) / train.num_segments,
    )
