"""Pre-training of the backbone: each clip is one frame, there is no sequence. N frames, C/H/W image, P points.

Where no pretrained weights are available, two minutes of this improve a frozen extractor more than any search over
the parts after it.
"""

import functools
import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from hearai.config.config import Config, to_dict
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data, load_data
from hearai.data.dataset import Batch
from hearai.data.frame_sampling import sample_frames
from hearai.data.frames import build_reader
from hearai.data.landmarks.clip_points import mirrored, read_landmarks
from hearai.errors import ConfigError
from hearai.files import atomic_write, cache_folder, using_caches
from hearai.models.feature_extractors import FeatureExtractor, backbone_name
from hearai.models.heads import Heads
from hearai.models.model import build_initial_model
from hearai.training.batches import on_device
from hearai.training.evaluation import evaluate
from hearai.training.optim.loss import head_losses, weighted_loss
from hearai.training.optim.optimizer import build_optimizer, set_lr
from hearai.training.optim.torch_options import autocast
from hearai.training.outputs.checkpoint import save_tensors
from hearai.training.outputs.layout import BACKBONE_FILE
from hearai.training.runtime import LocalRuntime, Runtime, choose_device
from hearai.training.setup.time_estimate import TimeEstimate, steps_per_epoch

log = logging.getLogger(__name__)

FRAMES_PER_CLIP = 8
"""At most: frames of the hold that are used."""
MEMORY_BYTES = 2e9
"""Limit for the decoded frames of a split; beyond it, fewer frames of each clip are used."""
WEIGHT_DECAY = 0.02
WARM_UP_SHARE = 0.1
"""Share of the steps in which the learning rate rises; then it falls as a cosine."""
MAX_SHIFT = 0.08
"""Augmentation: largest shift and relative change of size, in half image sides (or shoulder widths)."""
MAX_COLOUR = 0.2
"""Augmentation: largest relative change of contrast, and of each channel's level in standard deviations."""
EVALUATION_FRAMES = 128
"""Frames per step of an evaluation."""


@dataclass(frozen=True)
class Stills:
    """Single frames of some clips, in memory."""

    reads: str
    """Name of the input: "frames" or "landmarks"."""
    inputs_N: Tensor
    """Images (N, C, H, W) uint8, or landmarks (N, P, C)."""
    labels: dict[str, Tensor]
    """{head: (N,)}, class or MISSING."""

    def batches(self, size: int, *, shuffle: bool) -> Iterator[Batch]:
        """All frames once, as clips of one frame."""
        count = len(self.inputs_N)
        order = torch.randperm(count) if shuffle else torch.arange(count)
        for index in order.split(size):
            mask_N1 = torch.ones(len(index), 1, dtype=torch.bool)
            labels = {head: labels_N[index] for head, labels_N in self.labels.items()}
            yield Batch({self.reads: self.inputs_N[index].unsqueeze(1)}, mask_N1, labels, index)


class FrameModel(nn.Module):
    """Backbone and one classifier per head, directly on its output."""

    def __init__(self, extractor: FeatureExtractor, reads: str, num_class: dict[str, int]):
        super().__init__()
        self.reads = reads
        self.extractor, self.heads = extractor, Heads(extractor.backbone_width, num_class)
        extractor.projection.requires_grad_(False)  # not part of the backbone file

    def forward(self, inputs: Mapping[str, Tensor], mask_N1: Tensor) -> dict[str, Tensor]:
        """{head: logits (N, K)} of clips of one frame: normalised images or landmarks."""
        x_N = inputs[self.reads].squeeze(1)
        if x_N.ndim == 4:
            x_N = x_N.contiguous(memory_format=torch.channels_last)
        return self.heads(self.extractor.backbone_features(x_N))


def pretrain(config: Config, runtime: Runtime, out: Path, settings: Pretrain) -> Path:
    """Trains the backbone on frames of the training clips and writes it to `out`.

    All heads have the same weight. The epoch with the best validation score (mean macro-F1 over heads, single frames)
    is kept. The file holds {"backbone": state_dict, "model_path": name}, as
    `feature_extractor.checkpoint` takes it.
    """
    data, started = load_data(config), time.monotonic()
    train, val = read_stills(config, data.split.train), read_stills(config, data.split.val)
    initial = build_initial_model(config, data.num_class)
    model = FrameModel(initial.feature_extractor, initial.reads, dict(data.num_class))
    model = model.to(runtime.device, memory_format=torch.channels_last)
    trainer = _PretrainTrainer(model, config, settings, runtime.device)
    best = -1.0
    weights: dict[str, Tensor] = {}
    name = backbone_name(config.feature_extractor)
    log.info("pre-training %s on %d frames", name, len(train.inputs_N))
    estimate = TimeEstimate(len(train.inputs_N), len(val.inputs_N), settings)
    for epoch in range(settings.epochs):
        loss = trainer.train_epoch(train, epoch, estimate.after_step if epoch == 0 else None)
        if not math.isfinite(loss):
            raise ConfigError(
                f"pre-training diverged in epoch {epoch + 1} of {settings.epochs}: loss {loss:g}; lower its lr "
                f"({settings.lr:g}), or check the data (experiments/check_data.py DIR)"
            )
        score = evaluate(model, val.batches(EVALUATION_FRAMES, shuffle=False), config, runtime).macro_f1
        if score > best:
            best, weights = score, _copy(model.extractor.backbone)
        log.info(
            "pre-training epoch %d of %d: loss %.3f, val macro-F1 of single frames %.3f (%.0f s)",
            *(epoch + 1, settings.epochs, loss, score, time.monotonic() - started),
        )
    return _write(out, weights, name)


class _PretrainTrainer:
    """Model, optimizer and learning rate of pre-training."""

    def __init__(self, model: FrameModel, config: Config, settings: Pretrain, device: torch.device):
        self.model, self.config, self.settings, self.device = model, config, settings, device
        self.optimizer = build_optimizer(model, lr=settings.lr, weight_decay=WEIGHT_DECAY)
        self.heads = list(config.active_heads)
        self.weights = torch.ones(len(self.heads), device=device)

    def train_epoch(
        self, stills: Stills, epoch: int, after_step: Callable[[int, Tensor | float], None] | None = None
    ) -> float:
        """One epoch of the frames in random order, without an incomplete last batch; returns the mean loss.

        after_step: called with the number of steps done and the sum of their losses.
        """
        self.model.train()
        steps, total = steps_per_epoch(len(stills.inputs_N), self.settings), 0.0
        for step, batch in enumerate(islice(stills.batches(self.settings.batch_size, shuffle=True), steps)):
            done = (epoch + (step + 1) / steps) / self.settings.epochs
            set_lr(self.optimizer, learning_rate(done, self.settings.lr))
            total += self._step(on_device(batch, self.device))
            if after_step:
                after_step(step + 1, total)
        return float(total) / steps

    def _step(self, batch: Batch) -> Tensor:
        inputs = {name: AUGMENTATIONS[name](x_N1.squeeze(1)).unsqueeze(1) for name, x_N1 in batch.inputs.items()}
        with autocast(self.config, self.device):
            logits = self.model(inputs, batch.mask)
        loss = weighted_loss(*head_losses(logits, batch.labels, self.heads, "cross_entropy"), self.weights)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def read_stills(config: Config, clips: Sequence[Clip]) -> Stills:
    """Frames of the hold, the last two thirds of each clip; in the first third the hand is still moving."""
    reads = config.feature_extractor.spec.reads
    read = _read_landmarks if reads == "landmarks" else functools.partial(_read_image, build_reader(config))
    first = read((clips[0], clips[0].start))
    per_clip = max(1, min(FRAMES_PER_CLIP, int(MEMORY_BYTES / first.nbytes / len(clips))))
    chosen = [(clip, frame) for clip in clips for frame in _hold_frames(clip, per_clip)]
    inputs_N = first.new_empty(len(chosen), *first.shape)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for i, x in enumerate(pool.map(read, chosen)):
            inputs_N[i] = x
    labels = {head: torch.tensor([clip.labels[head] for clip, _ in chosen]) for head in config.active_heads}
    return Stills(reads, inputs_N, labels)


def _read_image(read: Callable[[Path], Tensor], clip_frame: tuple[Clip, int]) -> Tensor:
    clip, frame = clip_frame
    return read(clip.frame_path(frame))


def _read_landmarks(clip_frame: tuple[Clip, int]) -> Tensor:
    clip, frame = clip_frame
    return read_landmarks(clip, [frame])[0]


def _hold_frames(clip: Clip, count: int) -> list[int]:
    length = clip.end - clip.start + 1
    return sample_frames(clip.start + length // 3, clip.end, num_segments=count)


def augment(frames_NCHW: Tensor) -> Tensor:
    """Normalised frames, each mirrored (with the same label), shifted, resized and recoloured at random."""
    count, device = len(frames_NCHW), frames_NCHW.device

    def draw(*shape: int) -> Tensor:
        return torch.rand(count, *shape, device=device) * 2 - 1

    scale_N1 = 1 + MAX_SHIFT * draw(1)
    height, width = frames_NCHW.shape[-2:]
    x_NW = torch.where(draw(1) < 0, scale_N1, -scale_N1) * _pixel_centres(width, device) + MAX_SHIFT * draw(1)
    y_NH = scale_N1 * _pixel_centres(height, device) + MAX_SHIFT * draw(1)
    # affine_grid would use a matrix product for this sum, which costs about as much as the sampling.
    grid = torch.stack(torch.broadcast_tensors(x_NW.unsqueeze(1), y_NH.unsqueeze(2)), -1)
    moved = F.grid_sample(frames_NCHW, grid, padding_mode="border", align_corners=False)
    return moved * (1 + MAX_COLOUR * draw(1, 1, 1)) + MAX_COLOUR * draw(3, 1, 1)


def augment_points(points_NPC: Tensor) -> Tensor:
    """Landmarks, half of them mirrored (with the same label), each shifted and resized at random."""

    def draw(*shape: int) -> Tensor:
        return torch.rand(len(points_NPC), *shape, device=points_NPC.device) * 2 - 1

    points_NPC = torch.where(draw(1, 1) < 0, mirrored(points_NPC), points_NPC)
    position_NP3, known_NP1 = points_NPC[..., :3], points_NPC[..., 3:]
    scale_N11, shift_N13 = 1 + MAX_SHIFT * draw(1, 1), MAX_SHIFT * draw(1, 3)
    return torch.cat((position_NP3 * scale_N11 + shift_N13 * known_NP1, known_NP1), -1)


AUGMENTATIONS = {"frames": augment, "landmarks": augment_points}
"""{input: augmentation of its training frames}."""


def _pixel_centres(count: int, device: torch.device) -> Tensor:
    """Centres of `count` pixels, from -1 to 1 across the image."""
    return (torch.arange(count, device=device) * 2 + 1) / count - 1


def learning_rate(done: float, peak: float) -> float:
    """Linear rise, then a cosine down to 0; `done` is the share of all steps taken, in [0, 1].

    Not an `LRSchedule`: neither of the config's schedules has this shape, and a backbone must stay the same to the last
    bit for the same fingerprint.
    """
    if done < WARM_UP_SHARE:
        return peak * done / WARM_UP_SHARE
    return peak * (1 + math.cos(math.pi * (done - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))) / 2


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in module.state_dict().items()}


def _write(out: Path, weights: dict[str, Tensor], model_path: str) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(out, {"backbone": weights, "model_path": model_path})
    return out


def ensure_backbone(config: Config, data: Data, settings: Pretrain, out: Path) -> None:
    """Copies a backbone pre-trained on the config's training clips to `out`, for `feature_extractor.checkpoint`.

    It is trained once for the same config and data, then taken from the cache.
    """
    cached = cache_folder() / f"pretrained-{_fingerprint(config, data, settings)}"
    cached.mkdir(parents=True, exist_ok=True)
    with using_caches([cached]), FileLock(cached / ".lock"):
        if not (cached / BACKBONE_FILE).exists():
            device = choose_device(config.general_parameters.gpu)
            pretrain(config, LocalRuntime(device, cached), cached / BACKBONE_FILE, settings)
        else:
            log.info("pre-trained backbone from the cache: %s", cached / BACKBONE_FILE)
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as temporary:
            shutil.copyfile(cached / BACKBONE_FILE, temporary)


def _fingerprint(config: Config, data: Data, settings: Pretrain) -> str:
    """Hash of everything that pre-training depends on: neither the parts after the backbone nor the head weights.

    The keys are part of it: a backbone of a study that is resumed must be found again in the cache.
    """
    raw = to_dict(config)
    general = raw["general_parameters"]
    parts = {
        "data": data.fingerprint,
        "split": [general[key] for key in ("ratio_train_test", "ratio_test", "split", "split_seed")],
        "seed": general["seed"],
        "pictures": raw["augmentations_parameters"],
        "extractor": [backbone_name(config.feature_extractor), config.feature_extractor.pretrained],
        "heads": sorted(config.active_heads),
        "settings": settings.model_dump(),
        **{key: general[key] for key in ("fold", "train_on_validation") if general[key]},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
