"""The batches of a run: cached features until its backbone is unfrozen, then images; landmarks where asked for."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice

import torch

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data
from hearai.data.batch import Batch
from hearai.data.dataset import BatchSampler, ClipDataset, build_dataset, build_loader
from hearai.data.transforms import build_feature_augmentation, normalise
from hearai.models.model import SignModel
from hearai.training.features.decoded_frames import DecodedFrames, load_frames
from hearai.training.features.feature_cache import (
    Features,
    FlippedFeatures,
    epochs_on_features,
    load_features,
    run_length,
    weights_hash,
)
from hearai.training.features.frozen_prefix import PrefixStage, frozen_prefix
from hearai.training.features.gathered_batches import GatheredBatches
from hearai.training.runtime import Runtime

EVALUATION_BATCH = 256
"""Clips per step of an evaluation on features, which need little memory."""


class Batches:
    """Training and validation batches: this worker's share, a pure function of (seed, epoch).

    Splits the model's backbone where a beginning of it is frozen throughout: its activations are then the features.
    """

    def __init__(self, config: Config, data: Data, model: SignModel, runtime: Runtime):
        self._config, self._data, self._runtime = config, data, runtime
        self._fast = config.train_parameters.fast_dev_run
        self.epochs, self.steps_per_epoch = run_length(config, data)
        self.last_epoch = min(self.epochs, config.train_parameters.stop_after_epoch or self.epochs)
        """The run ends after it; schedules are those of all `epochs`."""
        self.clips_per_epoch = min(len(data.split.train), self.steps_per_epoch * config.train_parameters.batch_size)
        """Training clips per epoch over all workers."""
        self._epochs_on_features, stage = epochs_on_features(config, data), None
        self._features: Features | None = None
        self._flipped: Features | None = None
        extractor = model.feature_extractor
        extractor.split = None if self._epochs_on_features else frozen_prefix(config, data, extractor)
        self._runs_rest = extractor.split is not None
        if extractor.split:
            self._epochs_on_features, stage = self.epochs, PrefixStage(extractor.split)
        self._stage = stage or extractor
        if self._epochs_on_features:
            self._features, self._flipped = load_features(config, data, self._stage, runtime.device)
        self.from_features = self._epochs_on_features == self.epochs and not self._runs_rest
        """Whether all batches hold features, so that the backbone never runs."""
        self.backbone_hash = self._features.backbone_hash if self._features and self.from_features else None
        """Hash of the weights that computed the features; None where the backbone runs."""

    def fit_features(self, epoch: int) -> bool:
        """Whether the features that are still read, from this epoch (0-based) on, are those of the present weights.

        The weights of a resumed run are loaded after its features: the file that it started with may have changed.
        """
        if self._features is None or self.from_features or epoch >= self._epochs_on_features:
            return True
        return weights_hash(self._stage.backbone) == self._features.backbone_hash

    def train(self, epoch: int, first_step: int = 0) -> Iterable[Batch]:
        """Shuffled training batches of an epoch (0-based), each frame jittered inside its segment.

        first_step: how many batches are skipped at its beginning.
        """
        on_features = epoch < self._epochs_on_features
        clips = self._train_features if on_features else self._train_images
        clips.set_epoch(epoch)
        seed = derived_seed(self._config.general_parameters.seed, epoch)
        if on_features and (gathered := self._gathered):
            sampler = _sampler(
                clips, self._runtime, self._config.train_parameters.batch_size, shuffle_seed=seed, first=first_step
            )
            batches: Iterable[Batch] = gathered.epoch(sampler)
        else:
            batches = _loader(clips, self._config, self._runtime, shuffle_seed=seed, first=first_step)
        return islice(batches, self.steps_per_epoch - first_step)

    def val(self, epoch: int) -> Iterable[Batch]:
        """Validation batches after an epoch (0-based), the same clips and frames each time."""
        batches = self._val_features if epoch < self._epochs_on_features else self._val_images
        return islice(batches, 1) if self._fast else batches

    @cached_property
    def _train_features(self) -> ClipDataset:
        assert self._features is not None
        features = FlippedFeatures(self._features, self._flipped) if self._flipped else self._features
        clips = build_dataset(self._config, self._data.split.train, train=True, features=features)
        clips.augment = build_feature_augmentation(self._config, mirrored=self._flipped is not None)
        return clips

    @cached_property
    def _gathered(self) -> GatheredBatches | None:
        """Training batches on features; None where landmarks, which are read clip by clip, belong to them."""
        if self._features is None or self._config.train_parameters.landmarks:
            return None
        return GatheredBatches(self._train_features, self._features, self._flipped, self._runtime.device)

    @cached_property
    def _train_images(self) -> ClipDataset:
        return build_dataset(self._config, self._data.split.train, train=True, frames=self._decoded)

    @cached_property
    def _decoded(self) -> DecodedFrames | None:
        """Frames that were decoded before; None where they are decoded in each epoch. Made when they are needed."""
        if self._fast or not self._config.train_parameters.frames:
            return None
        split, train = self._data.split, self._config.train_parameters
        epochs = self.last_epoch - self._epochs_on_features
        return load_frames(
            self._config, [*split.train, *split.val], reads=epochs * len(split.train) * train.num_segments
        )

    @cached_property
    def _val_features(self) -> Iterable[Batch]:
        if self._features and self._runs_rest:
            return _Activations(self._config, self._data.split.val, self._features, self._runtime)
        return eval_batches(self._config, self._data.split.val, self._runtime, self._features)

    @cached_property
    def _val_images(self) -> Iterable[Batch]:
        return eval_batches(self._config, self._data.split.val, self._runtime, None, self._decoded)


class _Activations:
    """Batches of activations for evaluation, read again each time: they are too large to keep in memory."""

    def __init__(self, config: Config, clips: Sequence[Clip], features: Features, runtime: Runtime):
        dataset = build_dataset(config, clips, train=False, features=features)
        self._gathered = GatheredBatches(dataset, features, None, runtime.device)
        self._sampler = _sampler(dataset, runtime, config.train_parameters.batch_size, shuffle_seed=None)

    def __iter__(self) -> Iterator[Batch]:
        return self._gathered.epoch(self._sampler)


def derived_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A different seed for every (seed, epoch, worker)."""
    return ((seed * 1_000_003 + epoch) * 1_009 + rank) % 2**63


def eval_batches(
    config: Config,
    clips: Sequence[Clip],
    runtime: Runtime,
    features: Features | None,
    frames: DecodedFrames | None = None,
) -> Iterable[Batch]:
    """Batches for evaluation: no jitter, no augmentation, in the order of `clips`. Features are kept in memory.

    frames: decoded before; None = they are decoded each time.
    """
    dataset = build_dataset(config, clips, train=False, features=features, frames=frames)
    if features is None:
        return _loader(dataset, config, runtime, shuffle_seed=None)
    if not config.train_parameters.landmarks:
        gathered = GatheredBatches(dataset, features, None, runtime.device)
        return list(gathered.epoch(_sampler(dataset, runtime, EVALUATION_BATCH, shuffle_seed=None)))
    loader = build_loader(
        dataset, batch_size=EVALUATION_BATCH, shuffle_seed=None, rank=runtime.rank, world=runtime.world
    )
    return [batch.to(runtime.device) for batch in loader]


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device, its images normalised there (uint8 is a quarter of the size to copy)."""
    batch = batch.to(device)
    if "frames" not in batch.inputs:
        return batch
    inputs = {**batch.inputs, "frames": normalise(batch.inputs["frames"])}
    return Batch(inputs, batch.mask, batch.labels, batch.index)


def _sampler(
    dataset: ClipDataset, runtime: Runtime, batch_size: int, *, shuffle_seed: int | None, first: int = 0
) -> BatchSampler:
    return BatchSampler(len(dataset), batch_size, shuffle_seed, runtime.rank, runtime.world, first)


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
