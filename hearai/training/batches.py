"""What a run is fed with: kept features until its backbone is thawed, then pictures; landmarks where asked for."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice

import torch

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data
from hearai.data.dataset import Batch, ClipDataset, build_dataset, build_loader
from hearai.data.transforms import draw_side, normalise
from hearai.models.model import SignModel
from hearai.training.feature_cache import Features, FlippedFeatures, epochs_on_features, load_features, run_length
from hearai.training.runtime import Runtime

EVALUATION_BATCH = 256
"""Clips per step of an evaluation on features, which cost next to nothing."""


class Batches:
    """Batches of train and validation: this worker's share, a pure function of (seed, epoch)."""

    def __init__(self, config: Config, data: Data, model: SignModel, runtime: Runtime):
        self._config, self._data, self._runtime = config, data, runtime
        self._fast = config.train_parameters.fast_dev_run
        self.epochs, self.steps_per_epoch = run_length(config, data)
        self.last_epoch = min(self.epochs, config.train_parameters.stop_after_epoch or self.epochs)
        """Where the run ends; schedules run as for all `epochs`."""
        self.clips_per_epoch = min(len(data.split.train), self.steps_per_epoch * config.train_parameters.batch_size)
        """Over all workers, on features as in pictures."""
        self._epochs_on_features = epochs_on_features(config, data)
        self._features: tuple[Features, Features | None] | None = None
        if self._epochs_on_features:
            self._features = load_features(config, data, model.feature_extractor, runtime.device)
        self.from_features = self._epochs_on_features == self.epochs
        """Whether all batches hold features, so that the backbone is never needed."""
        self.backbone_hash = self._features[0].backbone_hash if self._features and self.from_features else None
        """Of the weights that the features of the whole run come from."""

    def train(self, epoch: int, first_step: int = 0) -> Iterable[Batch]:
        """Shuffled training batches of an epoch (0-based), each frame jittered inside its segment.

        first_step: how many of them are left out at its beginning.
        """
        clips = self._clips_on_features if epoch < self._epochs_on_features else self._clips_in_pictures
        clips.set_epoch(epoch)
        seed = derived_seed(self._config.general_parameters.seed, epoch)
        batches = _loader(clips, self._config, self._runtime, shuffle_seed=seed, first=first_step)
        return islice(batches, self.steps_per_epoch - first_step)

    def val(self, epoch: int) -> Iterable[Batch]:
        """Validation batches after an epoch (0-based), the same clips and frames each time."""
        batches = self._val_on_features if epoch < self._epochs_on_features else self._val_in_pictures
        return islice(batches, 1) if self._fast else batches

    @cached_property
    def _clips_on_features(self) -> ClipDataset:
        plain, mirrored = self._features
        lookup = FlippedFeatures(plain, mirrored) if mirrored else plain
        clips = build_dataset(self._config, self._data.split.train, train=True, lookup=lookup)
        if mirrored:
            clips.augment = draw_side
        return clips

    @cached_property
    def _clips_in_pictures(self) -> ClipDataset:
        return build_dataset(self._config, self._data.split.train, train=True)

    @cached_property
    def _val_on_features(self) -> Iterable[Batch]:
        return eval_batches(self._config, self._data.split.val, self._runtime, self._features[0])

    @cached_property
    def _val_in_pictures(self) -> Iterable[Batch]:
        return eval_batches(self._config, self._data.split.val, self._runtime, None)


def derived_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed of its own for every (seed, epoch, worker)."""
    return ((seed * 1_000_003 + epoch) * 1_009 + rank) % 2**63


def eval_batches(config: Config, clips: Sequence[Clip], runtime: Runtime, lookup: Features | None) -> Iterable[Batch]:
    """Batches for evaluation: no jitter, no augmentation, in the order of `clips`. Features are kept in memory."""
    dataset = build_dataset(config, clips, train=False, lookup=lookup)
    if lookup is None:
        return _loader(dataset, config, runtime, shuffle_seed=None)
    loader = build_loader(
        dataset, batch_size=EVALUATION_BATCH, shuffle_seed=None, rank=runtime.rank, world=runtime.world
    )
    return [batch.to(runtime.device) for batch in loader]


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device, its pictures normalised there (uint8 travels at a quarter of the size)."""
    batch = batch.to(device)
    if "frames" not in batch.inputs:
        return batch
    inputs = {**batch.inputs, "frames": normalise(batch.inputs["frames"])}
    return Batch(inputs, batch.mask, batch.labels, batch.index)


def _loader(
    dataset: ClipDataset, config: Config, runtime: Runtime, *, shuffle_seed: int | None, first: int = 0
) -> Iterable[Batch]:
    return build_loader(
        dataset,
        batch_size=config.train_parameters.batch_size,
        shuffle_seed=shuffle_seed,
        workers=config.general_parameters.workers,
        rank=runtime.rank,
        world=runtime.world,
        first=first,
    )
