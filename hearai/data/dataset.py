"""Clips -> padded batches.

B clips, T frames, C/H/W channels, height, width of an image, W width of a cached feature, P points of C channels.
"""

import functools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.batch import Batch, CopiedBatch, explain_copies, share
from hearai.data.frame_sampling import FrameSampler
from hearai.data.frames import build_reader
from hearai.data.landmarks.clip_points import read_landmarks
from hearai.data.transforms import Inputs, build_augmentation
from hearai.errors import DataError
from hearai.sign.hamnosys import MISSING


@dataclass(frozen=True)
class Sample:
    """One clip, ready for a batch."""

    inputs: Inputs
    """What the model reads: `frames` (T, C, H, W) uint8 or `features` (T, W) float, `landmarks` (T, P, C) float."""
    labels: Mapping[str, int]
    index: int
    """Position of the clip in its dataset; -1 = a placeholder without labels (see `build_loader`)."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(next(iter(self.inputs.values())))


def collate(samples: Sequence[Sample]) -> Batch:
    """Pads the clips to the longest one.

    Raises:
        DataError: the images differ in size.
    """
    lengths = [sample.length for sample in samples]
    mask_BT = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    inputs = {name: _pad(name, [sample.inputs[name] for sample in samples]) for name in samples[0].inputs}
    labels = {head: torch.tensor([s.labels[head] for s in samples]) for head in samples[0].labels}
    return Batch(inputs, mask_BT, labels, torch.tensor([sample.index for sample in samples]))


def _pad(name: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    sizes = {tuple(tensor.shape[1:]) for tensor in tensors}
    if len(sizes) > 1:
        raise DataError(
            f"{name} of different sizes {sorted(sizes)} in one batch; expected one size "
            "(augmentations_parameters: apply_resize and apply_center_crop)"
        )
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)


class ClipDataset(Dataset):
    """Samples frames of clips and loads them: images, or cached features of the same frames.

    Args:
        heads: names of the labels of the samples.
        readers: {input: (clip, frame numbers) -> (T, ...)}.
        augment: changes the loaded inputs, drawing from torch's global generator.
        num_segments, time: see `FrameSampler`.
        jitter: draw each frame's position within its segment instead of taking the centre.
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
        self.jitter, self.seed = jitter, seed
        spans = [(clip.start, clip.end, clip.fps) for clip in self.clips]
        self.sampler = FrameSampler(spans, num_segments=num_segments, time=time)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Random draws are a pure function of (seed, epoch, clip); call before building the epoch's loader."""
        self.epoch = epoch
        self.frames_NT = self.sampler.frames(_generator(f"{self.seed}/{epoch}") if self.jitter else None)
        """Numbers of the frames of each clip in this epoch."""

    def frame_numbers(self, number: int) -> list[int]:
        """Those of a clip that are read in this epoch."""
        return self.frames_NT[number, : self.sampler.lengths_N[number]].tolist()

    def augmentation_seed(self, number: int) -> int:
        """The seed from which `augment` draws for a clip in this epoch."""
        return random.Random(f"{self.seed}/{self.epoch}/{self.clips[number].key}").getrandbits(63)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Sample:
        """The clip at `index`; for a negative index, the clip at `~index` as a placeholder without labels."""
        number = index if index >= 0 else ~index
        clip = self.clips[number]
        frames = self.frame_numbers(number)
        inputs: Inputs = {name: read(clip, frames) for name, read in self.readers.items()}
        if self.augment is not None:
            with torch.random.fork_rng(devices=[]):  # leaves the generators of the training run unchanged
                torch.default_generator.manual_seed(self.augmentation_seed(number))
                inputs = self.augment(inputs)
        if index < 0:
            return Sample(inputs, dict.fromkeys(self.heads, MISSING), -1)
        return Sample(inputs, {head: clip.labels[head] for head in self.heads}, index)


def _generator(seed: str) -> torch.Generator:
    return torch.Generator().manual_seed(random.Random(seed).getrandbits(63))


def build_dataset(
    config: Config,
    clips: Sequence[Clip],
    *,
    train: bool,
    features: Callable[[Clip, list[int]], torch.Tensor] | None = None,
    frames: Callable[[Clip, list[int]], torch.Tensor] | None = None,
) -> ClipDataset:
    """The dataset of a config's clips.

    Args:
        train: jitter the frames and augment the inputs; otherwise every epoch is the same.
        features: reads cached features instead of images; they are not augmented.
        frames: reads images that were decoded before; None = from their files.
    """
    parameters = config.train_parameters
    readers: dict[str, Callable[[Clip, list[int]], torch.Tensor]] = {}
    if features is not None:
        readers["features"] = features
    elif parameters.frames:
        readers["frames"] = frames or functools.partial(_read_clip, build_reader(config))
    if parameters.landmarks:
        readers["landmarks"] = functools.partial(read_landmarks, face=config.feature_extractor.reads_face)
    return ClipDataset(
        clips,
        config.active_heads,
        readers,
        num_segments=parameters.num_segments,
        time=parameters.time,
        jitter=train,
        augment=build_augmentation(config) if train and features is None else None,
        seed=config.general_parameters.seed,
    )


def _read_clip(read: Callable[[Path], torch.Tensor], clip: Clip, frames: list[int]) -> torch.Tensor:
    return torch.stack([read(clip.frame_path(frame)) for frame in frames])


class Loader:
    """The batches of one epoch; see `build_loader`."""

    def __init__(self, dataset: ClipDataset, sampler: "BatchSampler", workers: int):
        # batch_size=None: `_BatchDataset` gets the sampler's index lists and makes the batches itself
        self._batches = DataLoader(
            _BatchDataset(dataset),
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            generator=torch.Generator(),  # or it draws from the global one, from which dropout draws
            pin_memory=torch.cuda.is_available(),
        )

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            if isinstance(batch, DataError):
                raise batch
            if isinstance(batch, CopiedBatch):
                explain_copies(batch.reason)
                batch = batch.unpack()
            yield batch


class _BatchDataset(Dataset):
    """Index lists -> batches. Returns a DataError instead of raising it: torch would add a traceback to its message."""

    def __init__(self, dataset: ClipDataset):
        self.dataset = dataset

    def __getitem__(self, indices: list[int]) -> Batch | CopiedBatch | DataError:
        try:
            batch = collate([self.dataset[index] for index in indices])
        except DataError as error:
            return error
        return share(batch) if get_worker_info() else batch


@dataclass(frozen=True)
class BatchSampler(Sampler):
    """Index lists of one rank, its share of every global batch; for the arguments see `build_loader`."""

    size: int
    batch_size: int
    shuffle_seed: int | None
    rank: int = 0
    world: int = 1
    first: int = 0

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
    """Batches of one epoch for rank `rank` of `world`.

    The ranks' batches of a step together are the batch that a single process would see. All ranks take the same
    number of steps: if a batch has fewer clips than there are ranks, the others get a placeholder clip whose labels
    are all MISSING and whose index is -1.

    Args:
        batch_size: clips per step over all ranks.
        shuffle_seed: determines the order; None = the order of the clips.
        workers: loader processes; 0 = load in this process.
        first: number of batches to skip at the beginning, because they were seen before.

    Raises:
        DataError: while iterating; an image cannot be decoded, or images differ in size.
    """
    return Loader(dataset, BatchSampler(len(dataset), batch_size, shuffle_seed, rank, world, first), workers)
