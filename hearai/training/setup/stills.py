"""Single frames of clips, in memory, for pre-training: reading and augmentation. N frames, C/H/W image, P points."""

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.dataset import Batch
from hearai.data.frame_sampling import sample_frames
from hearai.data.frames import build_reader
from hearai.data.landmarks.clip_points import mirrored, read_landmarks
from hearai.sign.hamnosys import MISSING

FRAMES_PER_CLIP = 8
"""At most: frames of the hold that are used."""
MEMORY_BYTES = 2e9
"""Limit for the decoded frames of a split; beyond it, fewer frames of each clip are used, but at least one."""
MAX_SHIFT = 0.08
"""Augmentation: largest shift and relative change of size, in half image sides (or shoulder widths)."""
MAX_COLOUR = 0.2
"""Augmentation: largest relative change of contrast, and of each channel's level in standard deviations."""


Draw = Callable[..., Tensor]
"""draw(*shape) -> (N, *shape): random numbers in [-1, 1) for each frame."""


@dataclass(frozen=True)
class Share:
    """The frames of each batch that one of several workers takes: every `world`-th, from number `rank` on.

    Order and augmentation are drawn for the whole batch, so that they do not depend on the number of workers.
    """

    rank: int = 0
    world: int = 1

    def of(self, whole_N: Tensor) -> Tensor:
        """This worker's rows."""
        return whole_N[self.rank :: self.world]

    def draw(self, frames: int, device: torch.device | None = None) -> Draw:
        """Random numbers for this worker's part of a batch of so many frames over all workers."""

        def draw(*shape: int) -> Tensor:
            return self.of(torch.rand(frames, *shape, device=device)) * 2 - 1

        return draw


ALONE = Share()
"""That of a worker alone."""


@dataclass(frozen=True)
class Stills:
    """Single frames of some clips, in memory."""

    reads: str
    """Name of the input: "frames" or "landmarks"."""
    inputs_N: Tensor
    """Images (N, C, H, W) uint8, or landmarks (N, P, C)."""
    labels: dict[str, Tensor]
    """{head: (N,)}, class or MISSING."""

    def batches(self, size: int, *, shuffle: bool, share: Share = ALONE) -> Iterator[Batch]:
        """All frames once, as clips of one frame; of each batch of `size` frames, this worker's share.

        If a batch has fewer frames than there are workers, the others get one without labels, whose index is -1: all
        workers take the same number of steps.
        """
        count = len(self.inputs_N)
        order = torch.randperm(count) if shuffle else torch.arange(count)
        for whole in order.split(size):
            index = share.of(whole)
            labels = {head: labels_N[index] for head, labels_N in self.labels.items()}
            if not len(index):
                index, labels = torch.tensor([-1]), {head: torch.tensor([MISSING]) for head in self.labels}
            mask_N1 = torch.ones(len(index), 1, dtype=torch.bool)
            yield Batch({self.reads: self.inputs_N[index].unsqueeze(1)}, mask_N1, labels, index)


def read_stills(config: Config, clips: Sequence[Clip]) -> Stills:
    """Frames of the hold, the last two thirds of each clip; in the first third the hand is still moving."""
    reads, read = config.feature_extractor.spec.reads, _reader(config)
    first = read((clips[0], clips[0].start))
    per_clip = _frames_per_clip(first, len(clips))
    chosen = [(clip, frame) for clip in clips for frame in _hold_frames(clip, per_clip)]
    inputs_N = first.new_empty(len(chosen), *first.shape)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for i, x in enumerate(pool.map(read, chosen)):
            inputs_N[i] = x
    labels = {head: torch.tensor([clip.labels[head] for clip, _ in chosen]) for head in config.active_heads}
    return Stills(reads, inputs_N, labels)


def stills_bytes(config: Config, clips: Sequence[Clip]) -> int:
    """Memory that the frames of `read_stills` take, at most."""
    if not clips:
        return 0
    first = _reader(config)((clips[0], clips[0].start))
    return first.nbytes * len(clips) * _frames_per_clip(first, len(clips))


def _reader(config: Config) -> Callable[[tuple[Clip, int]], Tensor]:
    """The input of the extractor for a frame of a clip."""
    reads_landmarks = config.feature_extractor.spec.reads == "landmarks"
    return _read_landmarks if reads_landmarks else functools.partial(_read_image, build_reader(config))


def _frames_per_clip(first: Tensor, clips: int) -> int:
    return max(1, min(FRAMES_PER_CLIP, int(MEMORY_BYTES / first.nbytes / clips)))


def _read_image(read: Callable[[Path], Tensor], clip_frame: tuple[Clip, int]) -> Tensor:
    clip, frame = clip_frame
    return read(clip.frame_path(frame))


def _read_landmarks(clip_frame: tuple[Clip, int]) -> Tensor:
    clip, frame = clip_frame
    return read_landmarks(clip, [frame])[0]


def _hold_frames(clip: Clip, count: int) -> list[int]:
    length = clip.end - clip.start + 1
    return sample_frames(clip.start + length // 3, clip.end, num_segments=count)


def augment(frames_NCHW: Tensor, draw: Draw) -> Tensor:
    """Normalised frames, each mirrored (with the same label), shifted, resized and recoloured at random."""
    device = frames_NCHW.device
    scale_N1 = 1 + MAX_SHIFT * draw(1)
    height, width = frames_NCHW.shape[-2:]
    x_NW = torch.where(draw(1) < 0, scale_N1, -scale_N1) * _pixel_centres(width, device) + MAX_SHIFT * draw(1)
    y_NH = scale_N1 * _pixel_centres(height, device) + MAX_SHIFT * draw(1)
    # affine_grid would use a matrix product for this sum, which costs about as much as the sampling.
    grid = torch.stack(torch.broadcast_tensors(x_NW.unsqueeze(1), y_NH.unsqueeze(2)), -1)
    moved = F.grid_sample(frames_NCHW, grid, padding_mode="border", align_corners=False)
    return moved * (1 + MAX_COLOUR * draw(1, 1, 1)) + MAX_COLOUR * draw(3, 1, 1)


def augment_points(points_NPC: Tensor, draw: Draw) -> Tensor:
    """Landmarks, half of them mirrored (with the same label), each shifted and resized at random."""
    points_NPC = torch.where(draw(1, 1) < 0, mirrored(points_NPC), points_NPC)
    position_NP3, known_NP1 = points_NPC[..., :3], points_NPC[..., 3:]
    scale_N11, shift_N13 = 1 + MAX_SHIFT * draw(1, 1), MAX_SHIFT * draw(1, 3)
    return torch.cat((position_NP3 * scale_N11 + shift_N13 * known_NP1, known_NP1), -1)


AUGMENTATIONS = {"frames": augment, "landmarks": augment_points}
"""{input: augmentation of its training frames, with random numbers for each of them}."""


def _pixel_centres(count: int, device: torch.device) -> Tensor:
    """Centres of `count` pixels, from -1 to 1 across the image."""
    return (torch.arange(count, device=device) * 2 + 1) / count - 1
