"""Outputs of a frozen backbone: one row per source frame, computed once, shared by all runs on a machine.

They are stored in `$HEARAI_CACHE` (default ~/.cache/hearai) under a fingerprint of everything they depend on, so
a changed image, size or weight gives new features, never stale ones. F frames, W backbone width, T frames of a clip,
N frames of a pass, C/H/W image.
"""

import hashlib
import logging
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from hearai.cli.progress.events import FEATURES
from hearai.cli.progress.work import work_done
from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data, load_data
from hearai.data.frames import build_reader
from hearai.data.transforms import has_random_augmentation, normalise
from hearai.errors import ConfigError
from hearai.files import cache_folder, lock_cache
from hearai.models.feature_extractors import backbone_name
from hearai.models.model import build_initial_model
from hearai.threads import file_lock
from hearai.training.features.decoded_frames import ensure_frames
from hearai.training.features.feature_rows import are_valid, map_rows, replacing_rows
from hearai.training.optim.freeze import FreezeSchedule
from hearai.training.runtime import choose_device

log = logging.getLogger(__name__)

FEATURES_FORMAT = 1
"""To be raised when rows of the same fingerprint would come out differently."""

BACKBONE_MODULE = "feature_extractor.backbone"
"""The part of the model whose outputs are cached."""

FRAMES_PER_PASS = 64

_prepared: list[tuple["Features", "Features | None"]] = []
"""Features that this process has prepared for others, protected from deletion as long as it lives."""


class Stage(Protocol):
    """What the cached features are the output of: an extractor's backbone, or the frozen beginning of it."""

    backbone: nn.Module
    backbone_width: int

    def backbone_features(self, x_N: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) -> features (N, W)."""


class Features:
    """Rows (F, W) in a memory-mapped file, and where each clip's rows begin; the `features` of a dataset."""

    def __init__(self, path: Path, clips: Sequence[Clip], backbone_hash: str):
        self.backbone_hash = backbone_hash
        """Hash of the weights that computed the rows."""
        self.rows_FW = torch.from_numpy(map_rows(path))
        self._offsets: dict[str, int] = {}
        total = 0
        for clip in clips:
            self._offsets[clip.key] = total - clip.start
            total += _length(clip)

    def __call__(self, clip: Clip, frames: list[int]) -> Tensor:
        """Features (T, W) of the given frame numbers of a clip."""
        offset = self.offset(clip)
        return self.rows_FW[[offset + frame for frame in frames]]

    def offset(self, clip: Clip) -> int:
        """What is added to the number of a frame of the clip to get its row."""
        return self._offsets[clip.key]


class FlippedFeatures:
    """Features of a clip and of its mirror image, from which `draw_side` chooses; the `features` of a dataset."""

    def __init__(self, plain: Features, flipped: Features):
        self._plain, self._flipped = plain, flipped

    def __call__(self, clip: Clip, frames: list[int]) -> Tensor:
        """Features (2, T, W): of the clip as it is, and mirrored."""
        return torch.stack([self._plain(clip, frames), self._flipped(clip, frames)])


def run_length(config: Config, data: Data) -> tuple[int, int]:
    """(epochs, optimizer steps per epoch) of a run; the same for every number of workers."""
    train = config.train_parameters
    return (1, 1) if train.fast_dev_run else (train.epochs, -(-len(data.split.train) // train.batch_size))


def frozen_epochs(config: Config, data: Data) -> int:
    """Number of leading epochs of a run in which the backbone is frozen in every step."""
    epochs, steps_per_epoch = run_length(config, data)
    schedule = FreezeSchedule.build(config.freeze_scheduler)
    per_epoch = 1 if schedule.mode == "epoch" else steps_per_epoch
    return schedule.frozen_lead(BACKBONE_MODULE, epochs * per_epoch) // per_epoch


def shares_features(config: Config, data: Data) -> bool:
    """Whether the backbone is frozen throughout a run of this config, so that its outputs are worth caching."""
    return has_features(config) and frozen_epochs(config, data) == run_length(config, data)[0]


def epochs_on_features(config: Config, data: Data) -> int:
    """Number of leading epochs of a run that can use cached features: backbone frozen, every image known in advance.

    The only augmentation whose images are known in advance is mirroring.
    """
    fast = config.train_parameters.fast_dev_run  # one batch: most features would never be used
    unmirrored = override(config, {"augmentations_parameters.apply_horizontal_flip": False})
    if fast or has_random_augmentation(unmirrored) or not has_features(config):
        return 0
    return frozen_epochs(config, data)


def has_features(config: Config) -> bool:
    """Whether the extractor turns single images into vectors."""
    spec = config.feature_extractor.spec
    return spec.per_frame and spec.reads == "frames"


def load_features(
    config: Config, data: Data, extractor: Stage, device: torch.device
) -> tuple[Features, Features | None]:
    """Features of training and validation clips; and of mirrored training clips, where the config mirrors them."""
    split = data.split
    plain = load_or_compute(config, data, [*split.train, *split.val], extractor, device)
    if not config.augmentations_parameters.apply_horizontal_flip:
        return plain, None
    return plain, load_or_compute(config, data, split.train, extractor, device, mirrored=True)


def ensure_features(config: Config) -> None:
    """Computes the features that runs of this config need, with all threads, before many runs start at once.

    Where they train the extractor on images, those are decoded too.
    """
    data = load_data(config)
    if config.train_parameters.frames and epochs_on_features(config, data) < run_length(config, data)[0]:
        ensure_frames(config, [*data.split.train, *data.split.val])
    if epochs_on_features(config, data):
        device = choose_device(config.general_parameters.gpu)
        extractor = build_initial_model(config, data.num_class).feature_extractor.to(device)
        _prepared.append(load_features(config, data, extractor, device))


def load_or_compute(
    config: Config,
    data: Data,
    clips: Iterable[Clip],
    extractor: Stage,
    device: torch.device,
    *,
    mirrored: bool = False,
) -> Features:
    """Features of every frame of `clips`. One process computes them; the others wait and read.

    Stored rows are checked once per process; damaged ones are computed again, with a warning. They are protected from
    deletion as long as the features are in use.

    Raises:
        ConfigError: the cache folder cannot be written.
        DataError: an image is broken.
    """
    clips = sorted({clip.key: clip for clip in clips}.values(), key=lambda clip: clip.key)
    backbone_hash = weights_hash(extractor.backbone)
    name = fingerprint(config, data, clips, backbone_hash, mirrored=mirrored)
    path = cache_folder() / f"features-{name}" / "rows.npy"
    shape = (sum(map(_length, clips)), extractor.backbone_width)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        in_use = lock_cache(path.parent)
        if not are_valid(path, shape):
            path.parent.mkdir(parents=True, exist_ok=True)
            with file_lock(path.with_name("lock")) as is_locked:
                left_overs = path.parent.glob(f".{path.name}.*") if is_locked else ()  # by processes that were killed
                for left_over in left_overs:
                    left_over.unlink(missing_ok=True)
                if not are_valid(path, shape, warn=True):
                    _compute(extractor, _read_batches(config, clips, mirrored), shape, device, path)
        features = Features(path, clips, backbone_hash)
    except OSError as error:
        raise ConfigError(
            f"{path.parent}: cannot store features ({error.strerror or error}); "
            "set HEARAI_CACHE to a folder with free space"
        ) from None
    if in_use:
        weakref.finalize(features, in_use.close)
    return features


def fingerprint(
    config: Config, data: Data, clips: Iterable[Clip], backbone_hash: str, *, mirrored: bool = False
) -> str:
    """Changes with the images, which of them, their size, the backbone and its weights; not with their folder."""
    size = sorted(build_reader(config).keywords.items())
    parts = (FEATURES_FORMAT, data.fingerprint, size, backbone_name(config.feature_extractor), backbone_hash, mirrored)
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8)
    for clip in clips:
        digest.update(f"{clip.key} {clip.start} {clip.end}\n".encode())
    return digest.hexdigest()


def weights_hash(module: nn.Module) -> str:
    """Hash of all parameters and buffers."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _compute(
    extractor: Stage, batches: Iterable[Tensor], shape: tuple[int, int], device: torch.device, path: Path
) -> None:
    """Writes the rows, all or none."""
    log.info("computing features of %d frames with the frozen backbone", shape[0])
    started, done = time.monotonic(), 0
    with replacing_rows(path, shape) as rows_FW:
        for frames_NCHW in batches:
            features_NW = _backbone_features(extractor, frames_NCHW.to(device))
            rows_FW[done : done + len(features_NW)] = features_NW.cpu().numpy()
            done += len(features_NW)
            work_done(FEATURES, done / shape[0])
        assert done == shape[0]
    log.info("features ready after %.1f s (%.0f MB)", time.monotonic() - started, rows_FW.nbytes / 1e6)


@torch.inference_mode()
def _backbone_features(extractor: Stage, frames_NCHW: Tensor) -> Tensor:
    training = extractor.backbone.training
    extractor.backbone.eval()
    frames_NCHW = normalise(frames_NCHW).contiguous(memory_format=torch.channels_last)  # a third faster on CPUs
    features_NW = extractor.backbone_features(frames_NCHW)
    extractor.backbone.train(training)
    return features_NW.float()


def _read_batches(config: Config, clips: Sequence[Clip], mirrored: bool) -> Iterator[Tensor]:
    """All frames of `clips` as (N, C, H, W) uint8; each batch is decoded while the previous one is used."""
    read = build_reader(config)
    paths = [clip.frame_path(frame) for clip in clips for frame in range(clip.start, clip.end + 1)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        ahead: list[Future[Tensor]] = []
        for first in range(0, len(paths) + FRAMES_PER_PASS, FRAMES_PER_PASS):
            pending, ahead = ahead, [pool.submit(read, path) for path in paths[first : first + FRAMES_PER_PASS]]
            if pending:
                frames_NCHW = torch.stack([future.result() for future in pending])
                yield frames_NCHW.flip(-1) if mirrored else frames_NCHW


def _length(clip: Clip) -> int:
    return clip.end - clip.start + 1
