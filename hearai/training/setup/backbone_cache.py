"""Pre-trained backbones in the cache: each is trained once, by one process, for the same config and data."""

import functools
import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hearai.config.config import Config, to_dict
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import Data
from hearai.errors import load_failure
from hearai.files import atomic_write, cache_folder, using_caches
from hearai.models.feature_extractors import backbone_name
from hearai.models.weights import UNREADABLE, read_tensors
from hearai.threads import file_lock
from hearai.training.batches import on_device
from hearai.training.outputs.checkpoint import copy_checkpoint
from hearai.training.outputs.layout import BACKBONE_FILE, LAST
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.pretrain import build_trainer, pretrain
from hearai.training.setup.pretrain_state import VERSION, PretrainState
from hearai.training.setup.stills import FRAMES_PER_CLIP, read_stills
from hearai.training.setup.time_estimate import epoch_cost

log = logging.getLogger(__name__)

MEASURED_STEPS = 3
"""Of pre-training, for an estimate, after a first one that is slower."""


class SharedEpochs(Protocol):
    """Where other machines and groups of workers find the epochs that are saved here, and this process finds theirs."""

    def fetch(self, folder: Path) -> None:
        """Copies what other machines have saved into `folder/last`, if there is anything."""

    def send(self, folder: Path) -> None:
        """Called when an epoch has been saved in `folder/last`."""

    def remove(self) -> None:
        """Called when the backbone is trained."""


class TrainBackbone(Protocol):
    """How a backbone that is not in the cache is trained: `train_here`, or by workers elsewhere."""

    def __call__(self, config: Config, settings: Pretrain, folder: Path, key: str, shared: SharedEpochs | None) -> None:
        """Writes the backbone's file into `folder`; see `pretrain` for the key."""


def train_here(config: Config, settings: Pretrain, folder: Path, key: str, shared: SharedEpochs | None) -> None:
    """Pre-trains in this process. The epochs saved so far are in `folder/last`."""
    runtime = LocalRuntime(choose_device(config.general_parameters.gpu), folder)
    if shared:
        _take_newer(shared, folder, key)
    send = functools.partial(shared.send, folder) if shared else lambda: None
    pretrain(config, runtime, folder / BACKBONE_FILE, settings, key=key, after_save=send)


def _take_newer(shared: SharedEpochs, folder: Path, key: str) -> None:
    """Replaces the epochs in `folder/last` by those saved elsewhere, if these are intact and more."""
    with tempfile.TemporaryDirectory(prefix="shared-", dir=folder) as temporary:
        shared.fetch(Path(temporary))
        theirs = PretrainState.load(Path(temporary) / LAST, key, origin=str(shared))
        if theirs is None:
            return
        own = PretrainState.load(folder / LAST, key)
        if own is None or theirs.epoch > own.epoch:
            copy_checkpoint(Path(temporary) / LAST, folder / LAST)


def ensure_backbone(
    config: Config,
    data: Data,
    settings: Pretrain,
    out: Path,
    shared: SharedEpochs | None = None,
    *,
    train: TrainBackbone = train_here,
) -> None:
    """Copies a backbone pre-trained on the config's training clips to `out`, for `feature_extractor.checkpoint`.

    It is trained once for the same config and data, then taken from the cache. An interrupted training is resumed
    after its last complete epoch; one that runs in another process is waited for.

    Raises:
        ConfigError: it diverged.
        DiskFull: no space left; the epochs saved so far are intact.
    """
    folder = _folder(config, data, settings)
    with using_caches([folder]):
        if curve := _curve(folder / BACKBONE_FILE):
            best = max(curve, key=lambda row: row["score"])
            from_cache = "pre-trained backbone from the cache: %s (epoch %d of %d, val macro-F1 of single frames %.3f)"
            log.info(from_cache, folder / BACKBONE_FILE, best["epoch"], len(curve), best["score"])
        else:
            folder.mkdir(parents=True, exist_ok=True)
            with _one_process(folder):
                if not _curve(folder / BACKBONE_FILE):  # else another process has trained it meanwhile
                    key = _fingerprint(config, settings, data.fingerprints.content)  # the same on all machines
                    train(config, settings, folder, key, shared)
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as temporary:
            shutil.copyfile(folder / BACKBONE_FILE, temporary)


def is_backbone(path: Path) -> bool:
    """Whether a file holds a backbone and is intact."""
    return _content(path) is not None


def estimate_pretraining(config: Config, data: Data, settings: Pretrain) -> float:
    """Seconds of pre-training by one worker with all its epochs, from a few steps on some clips; 0 if it is cached."""
    if _curve((folder := _folder(config, data, settings)) / BACKBONE_FILE):
        return 0.0
    clips, started = data.split.train[: 1 + settings.batch_size // FRAMES_PER_CLIP], time.monotonic()
    stills = read_stills(config, clips)
    per_frame = (time.monotonic() - started) / len(stills.inputs_N)
    frames, val_frames = (
        round(len(part) * len(stills.inputs_N) / len(clips)) for part in (data.split.train, data.split.val)
    )
    trainer = build_trainer(config, data, settings, LocalRuntime(choose_device(config.general_parameters.gpu), folder))
    trainer.model.train()
    batch = on_device(next(stills.batches(settings.batch_size, shuffle=True)), trainer.device)
    size = len(batch.index)  # the clips may be fewer than a batch
    float(trainer.step(batch, size))
    started = time.monotonic()
    losses = [trainer.step(batch, size) for _ in range(MEASURED_STEPS)]
    float(losses[-1])
    share = size / settings.batch_size
    per_step = (time.monotonic() - started) / MEASURED_STEPS / share
    return per_frame * (frames + val_frames) + settings.epochs * epoch_cost(frames, val_frames, settings) * per_step


@contextmanager
def _one_process(folder: Path) -> Iterator[None]:
    """Waits while another process trains the backbone of a folder; if that one is killed, this one continues."""

    def on_wait() -> None:
        log.info("%s: another process pre-trains this backbone; waiting for it", folder)

    with file_lock(folder / ".lock", on_wait=on_wait):
        yield


def _curve(path: Path) -> list[dict[str, float]]:
    """The curve of a backbone of this version; empty if there is none, or it is damaged."""
    content = _content(path)
    if content is None:
        return []
    if content.get("version") != VERSION:
        log.warning("%s: written by another version; it is pre-trained again", path)
        return []
    return content["curve"]


def _content(path: Path) -> dict[str, Any] | None:
    """What a backbone's file holds; None, with the reason in the log, if it is damaged. Its checksums are compared."""
    if not path.is_file():
        return None
    try:
        content = read_tensors(path)
        if not isinstance(content, dict) or not {"backbone", "model_path"} <= content.keys():
            raise ValueError("it is no pre-trained backbone")
    except UNREADABLE as error:
        log.warning("%s: cannot be read (%s); it is pre-trained again", path, load_failure(error))
        return None
    return content


def _folder(config: Config, data: Data, settings: Pretrain) -> Path:
    return cache_folder() / f"pretrained-{_fingerprint(config, settings, data.fingerprint)}"


def _fingerprint(config: Config, settings: Pretrain, data: str) -> str:
    """Hash of everything that pre-training depends on: neither the parts after the backbone nor the head weights.

    The keys are part of it: a backbone of a study that is resumed must be found again in the cache.
    """
    raw, extractor = to_dict(config), config.feature_extractor
    weights = extractor.weights_sha256 if extractor.weights_path else extractor.pretrained
    general = raw["general_parameters"]
    parts = {
        "data": data,
        "split": [general[key] for key in ("ratio_train_test", "ratio_test", "split", "split_seed")],
        "seed": general["seed"],
        "pictures": raw["augmentations_parameters"],
        "extractor": [backbone_name(extractor), weights],
        "heads": sorted(config.active_heads),
        "settings": settings.model_dump(),
        **{key: general[key] for key in ("fold", "train_on_validation") if general[key]},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
