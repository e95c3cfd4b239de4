"""Outputs of a frozen backbone: one row per source frame, computed once, shared by all runs of a machine.

They lie in `$HEARAI_CACHE` (default ~/.cache/hearai) under a fingerprint of everything they depend on, so
a changed picture, size or weight gives new features, never wrong ones. F frames, W backbone width.
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data, load_data
from hearai.data.frames import build_reader
from hearai.data.transforms import has_random_augmentation, normalise
from hearai.errors import ConfigError
from hearai.files import cache_folder, replacing
from hearai.models.feature_extractors import FeatureExtractor, backbone_name, kind_of
from hearai.models.model import build_initial_model
from hearai.training.optim.freeze import FreezeSchedule
from hearai.training.runtime import choose_device

log = logging.getLogger(__name__)

FORMAT = 1
"""Raise it when rows of the same fingerprint would come out differently."""

BACKBONE_MODULE = "feature_extractor.backbone"

BATCH = 64
"""Frames per forward pass."""


class Features:
    """Rows (F, W) in a memory-mapped file and where each clip's rows begin; call it as a dataset's `lookup`."""

    def __init__(self, path: Path, clips: Sequence[Clip], backbone_hash: str):
        self.backbone_hash = backbone_hash
        """Of the weights that the rows come from."""
        # "c": pages are shared and never written; torch warns of read-only ones
        self._rows_FW = torch.from_numpy(_mapped(path))
        self._first, total = {}, 0
        for clip in clips:
            self._first[clip.key] = total - clip.start
            total += _length(clip)

    def __call__(self, clip: Clip, frames: list[int]) -> Tensor:
        """Features (T, W) of the given frame numbers of a clip."""
        first = self._first[clip.key]
        return self._rows_FW[[first + frame for frame in frames]]


def _mapped(path: Path) -> np.ndarray:
    """(F, W) numbers.

    Raises:
        ConfigError: the file holds something else; nothing in it is unpickled.
    """
    try:
        rows_FW = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{path}: holds no features ({reason}); delete it: they are computed again") from None
    if not isinstance(rows_FW, np.ndarray) or rows_FW.ndim != 2 or rows_FW.dtype != np.float32:
        raise ConfigError(f"{path}: holds no features (rows of float32 are due); delete it: they are computed again")
    return rows_FW


class FlippedFeatures:
    """A dataset's `lookup` that gives features of a clip and of its mirror image, for `draw_side` to choose."""

    def __init__(self, plain: Features, mirrored: Features):
        self._plain, self._mirrored = plain, mirrored

    def __call__(self, clip: Clip, frames: list[int]) -> Tensor:
        """Features (2, T, W): as it is, mirrored."""
        return torch.stack([self._plain(clip, frames), self._mirrored(clip, frames)])


def run_length(config: Config, data: Data) -> tuple[int, int]:
    """(epochs, optimizer steps per epoch) of a run; the same for every number of workers."""
    train = config.train_parameters
    return (1, 1) if train.fast_dev_run else (train.epochs, -(-len(data.split.train) // train.batch_size))


def frozen_epochs(config: Config, data: Data) -> int:
    """How many epochs of a run, from its first on, leave the backbone as it was: all of their steps are frozen."""
    epochs, steps_per_epoch = run_length(config, data)
    schedule = FreezeSchedule.build(config.freeze_scheduler)
    a_unit = 1 if schedule.mode == "epoch" else steps_per_epoch
    return schedule.frozen_lead(BACKBONE_MODULE, epochs * a_unit) // a_unit


def shares_features(config: Config, data: Data) -> bool:
    """Whether runs of this config get the same vector of a picture from first to last: it is worth keeping."""
    return _has_features(config) and frozen_epochs(config, data) == run_length(config, data)[0]


def epochs_on_features(config: Config, data: Data) -> int:
    """How many epochs of a run, from its first on, kept features can feed: frozen, and every picture known before.

    The only change of a picture that is known before is mirroring.
    """
    fast = config.train_parameters.fast_dev_run  # one batch: most features would never be looked at
    unmirrored = override(config, {"augmentations_parameters.apply_horizontal_flip": False})
    if fast or has_random_augmentation(unmirrored) or not _has_features(config):
        return 0
    return frozen_epochs(config, data)


def _has_features(config: Config) -> bool:
    kind = kind_of(config.feature_extractor)
    return kind.per_frame and kind.reads == "frames"


def load_features(
    config: Config, data: Data, extractor: FeatureExtractor, device: torch.device
) -> tuple[Features, Features | None]:
    """Features of train and validation clips; mirrored ones of train clips where the config mirrors them."""
    split = data.split
    plain = load_or_compute(config, data, [*split.train, *split.val], extractor, device)
    if not config.augmentations_parameters.apply_horizontal_flip:
        return plain, None
    return plain, load_or_compute(config, data, split.train, extractor, device, mirrored=True)


def ensure_features(config: Config) -> None:
    """Computes what runs of this config will look up, with all threads, before many runs start at once."""
    data = load_data(config)
    if epochs_on_features(config, data):
        device = choose_device(config.general_parameters.gpu)
        load_features(config, data, build_initial_model(config, data.num_class).feature_extractor.to(device), device)


def load_or_compute(
    config: Config,
    data: Data,
    clips: Iterable[Clip],
    extractor: FeatureExtractor,
    device: torch.device,
    *,
    mirrored: bool = False,
) -> Features:
    """Features of every frame of `clips`. One process computes them, the others wait and read.

    Raises:
        ConfigError: the cache folder cannot be written.
        DataError: a picture is broken.
    """
    clips = sorted({clip.key: clip for clip in clips}.values(), key=lambda clip: clip.key)
    backbone_hash = weights_hash(extractor.backbone)
    name = fingerprint(config, data, clips, backbone_hash, mirrored=mirrored)
    path = cache_folder() / f"features-{name}" / "rows.npy"
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_name("lock")):
                if not path.is_file():
                    pictures = _read_batches(config, clips, mirrored)
                    _compute(extractor, pictures, sum(map(_length, clips)), device, path)
    except OSError as error:
        raise ConfigError(
            f"{path.parent}: features cannot be stored ({error.strerror or error}); "
            "set HEARAI_CACHE to a folder with room"
        ) from None
    return Features(path, clips, backbone_hash)


def fingerprint(
    config: Config, data: Data, clips: Iterable[Clip], backbone_hash: str, *, mirrored: bool = False
) -> str:
    """Changes with the pictures, which of them, their size, the backbone and its weights; not with their place."""
    size = sorted(build_reader(config).keywords.items())
    parts = (FORMAT, data.fingerprint, size, backbone_name(config.feature_extractor), backbone_hash, mirrored)
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
    extractor: FeatureExtractor, batches: Iterable[Tensor], count: int, device: torch.device, path: Path
) -> None:
    """Writes the rows, complete or not at all."""
    log.info("computing features of %d frames with the frozen backbone", count)
    started, done = time.monotonic(), 0
    with replacing(path) as building:
        rows_FW = np.lib.format.open_memmap(building, "w+", np.float32, (count, extractor.backbone_width))
        for frames_NCHW in batches:
            features_NW = _backbone_features(extractor, frames_NCHW.to(device))
            rows_FW[done : done + len(features_NW)] = features_NW.cpu().numpy()
            done += len(features_NW)
        assert done == count
        rows_FW.flush()
    log.info("features ready after %.1f s (%.0f MB)", time.monotonic() - started, rows_FW.nbytes / 1e6)


@torch.inference_mode()
def _backbone_features(extractor: FeatureExtractor, frames_NCHW: Tensor) -> Tensor:
    training = extractor.backbone.training
    extractor.backbone.eval()
    frames_NCHW = normalise(frames_NCHW).contiguous(memory_format=torch.channels_last)  # a third faster on CPUs
    features_NW = extractor.backbone_features(frames_NCHW)
    extractor.backbone.train(training)
    return features_NW.float()


def _read_batches(config: Config, clips: Sequence[Clip], mirrored: bool) -> Iterator[Tensor]:
    """All frames of `clips` as (N, C, H, W) uint8; a batch is decoded while the one before is used."""
    read = build_reader(config)
    paths = [clip.frame_path(frame) for clip in clips for frame in range(clip.start, clip.end + 1)]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        ahead: list[Future[Tensor]] = []
        for first in range(0, len(paths) + BATCH, BATCH):
            pending, ahead = ahead, [pool.submit(read, path) for path in paths[first : first + BATCH]]
            if pending:
                frames_NCHW = torch.stack([future.result() for future in pending])
                yield frames_NCHW.flip(-1) if mirrored else frames_NCHW


def _length(clip: Clip) -> int:
    return clip.end - clip.start + 1
