"""Clips -> padded batches. B clips, T frames, C/H/W picture, W width of a kept feature, P points of C channels."""

import functools
import math
import operator
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.frame_sampling import sample_frames
from hearai.data.frames import build_reader
from hearai.data.landmarks import read_landmarks
from hearai.data.transforms import Inputs, build_augmentation
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING


@dataclass(frozen=True)
class Sample:
    """One clip, ready for a batch."""

    inputs: Inputs
    """`frames` (T, C, H, W) uint8 or `features` (T, W) float, `landmarks` (T, P, C) float: what the model reads."""
    labels: Mapping[str, int]
    index: int
    """Place of the clip in its dataset; -1 = a stand-in without labels (see `build_loader`)."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class Batch:
    """Clips padded to the longest of them."""

    inputs: Inputs
    """`frames` (B, T, C, H, W) uint8 or `features` (B, T, W) float, `landmarks` (B, T, P, C); zero where padded."""
    mask: torch.Tensor
    """(B, T) bool, true at real frames."""
    labels: dict[str, torch.Tensor]
    """{head: (B,) int64}, MISSING where a clip says nothing about the head."""
    index: torch.Tensor
    """(B,) int64, place of each clip in its dataset; -1 = a stand-in without labels."""

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory; the DataLoader calls this."""
        return self._map(torch.Tensor.pin_memory)

    def split(self, parts: int) -> list["Batch"]:
        """The batch as up to `parts` smaller ones of nearly equal size, in order; none is empty."""
        count = min(parts, len(self.mask))
        bounds = [len(self.mask) * i // count for i in range(count + 1)]
        return [self._map(operator.itemgetter(slice(*ends))) for ends in pairwise(bounds)]

    def _map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        inputs = {name: change(tensor) for name, tensor in self.inputs.items()}
        labels = {head: change(label_B) for head, label_B in self.labels.items()}
        return Batch(inputs, change(self.mask), labels, change(self.index))


def collate(samples: Sequence[Sample]) -> Batch:
    """Pads the clips to the longest one.

    Raises:
        DataError: the pictures differ in size.
    """
    lengths = [sample.length for sample in samples]
    mask_BT = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    inputs = {name: _padded(name, [sample.inputs[name] for sample in samples]) for name in samples[0].inputs}
    labels = {head: torch.tensor([s.labels[head] for s in samples]) for head in samples[0].labels}
    return Batch(inputs, mask_BT, labels, torch.tensor([sample.index for sample in samples]))


def _padded(name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    sizes = {tuple(tensor.shape[1:]) for tensor in tensors}
    if len(sizes) > 1:
        raise DataError(
            f"{name} of different sizes {sorted(sizes)} in one batch; one size is due "
            "(augmentations_parameters: apply_resize and apply_center_crop)"
        )
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)


class ClipDataset(Dataset):
    """Draws frames of clips and loads them: pictures, or cached features of the same frames.

    Args:
        heads: names of the labels that samples carry.
        readers: {input: (clip, frame numbers) -> (T, ...)}.
        augment: changes what was loaded, drawing from torch's global generator.
        num_segments, time: see `sample_frames`.
        jitter: draw each frame's place inside its segment instead of taking the centre.
        seed: of jitter and augmentation.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        heads: Iterable[str],
        readers: Mapping[str, Callable[[Clip, list[int]], torch.Tensor]],
        *,
        num_segments: int,
        time: float | None = None,
        jitter: bool = False,
        augment: Callable[[Inputs], Inputs] | None = None,
        seed: int = 0,
    ):
        self.clips, self.heads, self.readers, self.augment = tuple(clips), tuple(heads), readers, augment
        self.num_segments, self.time, self.jitter, self.seed = num_segments, time, jitter, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draws are a pure function of (seed, epoch, clip); call before making the epoch's loader."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Sample:
        """The clip at `index`; for a negative index, the clip at `~index` as a stand-in without labels."""
        clip = self.clips[index if index >= 0 else ~index]
        rng = random.Random(f"{self.seed}/{self.epoch}/{clip.key}")
        frames = sample_frames(
            clip.start,
            clip.end,
            num_segments=self.num_segments,
            time=self.time,
            fps=clip.fps,
            rng=rng if self.jitter else None,
        )
        inputs = {name: read(clip, frames) for name, read in self.readers.items()}
        if self.augment is not None:
            with torch.random.fork_rng(devices=[]):  # dropout's generators stay where they are
                torch.default_generator.manual_seed(rng.getrandbits(63))
                inputs = self.augment(inputs)
        if index < 0:
            return Sample(inputs, dict.fromkeys(self.heads, MISSING), -1)
        return Sample(inputs, {head: clip.labels[head] for head in self.heads}, index)


def build_dataset(
    config: Config,
    clips: Sequence[Clip],
    *,
    train: bool,
    lookup: Callable[[Clip, list[int]], torch.Tensor] | None = None,
) -> ClipDataset:
    """The dataset of a config's clips.

    Args:
        train: jitter the frames and augment what is read; else every epoch shows the same.
        lookup: kept features take the place of the pictures, and are not augmented.
    """
    parameters = config.train_parameters
    readers: dict[str, Callable[[Clip, list[int]], torch.Tensor]] = {}
    if lookup is not None:
        readers["features"] = lookup
    elif parameters.frames:
        readers["frames"] = functools.partial(_read_clip, build_reader(config))
    if parameters.landmarks:
        readers["landmarks"] = read_landmarks
    return ClipDataset(
        clips,
        config.active_heads,
        readers,
        num_segments=parameters.num_segments,
        time=parameters.time,
        jitter=train,
        augment=build_augmentation(config) if train and lookup is None else None,
        seed=config.general_parameters.seed,
    )


def _read_clip(read: Callable[[Path], torch.Tensor], clip: Clip, frames: list[int]) -> torch.Tensor:
    return torch.stack([read(clip.frame_path(frame)) for frame in frames])


class Loader:
    """The batches of one epoch; see `build_loader`."""

    def __init__(self, dataset: ClipDataset, order: "_Order", workers: int):
        # the order's index lists go to `_Reader` as they are (batch_size=None): it makes the batches
        self._batches = DataLoader(
            _Reader(dataset),
            batch_size=None,
            sampler=order,
            num_workers=workers,
            pin_memory=torch.cuda.is_available(),
        )

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            if isinstance(batch, DataError):
                raise batch
            yield batch


class _Reader(Dataset):
    """Index lists -> batches. A DataError is handed over: torch would put a traceback into its message."""

    def __init__(self, dataset: ClipDataset):
        self.dataset = dataset

    def __getitem__(self, indices: list[int]) -> Batch | DataError:
        try:
            return collate([self.dataset[index] for index in indices])
        except DataError as error:
            return error


@dataclass(frozen=True)
class _Order(Sampler):
    """Index lists of one worker: its share of every global batch."""

    size: int
    batch_size: int
    shuffle_seed: int | None
    rank: int
    world: int
    first: int

    def __len__(self) -> int:
        return math.ceil(self.size / self.batch_size) - self.first

    def __iter__(self) -> Iterator[list[int]]:
        order = list(range(self.size))
        if self.shuffle_seed is not None:
            random.Random(self.shuffle_seed).shuffle(order)
        for start in range(self.first * self.batch_size, self.size, self.batch_size):
            batch = order[start : start + self.batch_size]
            yield batch[self.rank :: self.world] or [~batch[0]]


def build_loader(
    dataset: ClipDataset,
    *,
    batch_size: int,
    shuffle_seed: int | None,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    first: int = 0,
) -> Loader:
    """Batches of one epoch for worker `rank` of `world`.

    The workers' batches of a step are together the batch that one worker alone would see. All workers
    take the same number of steps: where a batch has fewer clips than there are workers, the others get a
    stand-in clip whose labels are all MISSING and whose index is -1.

    Args:
        batch_size: clips per step over all workers.
        shuffle_seed: the order is a pure function of it; None = the order of the clips.
        workers: loader processes; 0 = load in this process.
        first: batches at the beginning that are left out: they were seen before.

    Raises:
        DataError: while iterating; a picture that cannot be decoded, or pictures of different sizes.
    """
    return Loader(dataset, _Order(len(dataset), batch_size, shuffle_seed, rank, world, first), workers)
