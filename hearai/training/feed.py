"""What a run is fed with: kept features where the backbone stays frozen, else pictures; landmarks where asked for."""

from collections.abc import Iterable, Sequence
from itertools import islice

import torch

from hearai.config import Config
from hearai.data.annotations import Clip
from hearai.data.dataset import Batch, ClipDataset, build_dataset, build_loader
from hearai.data.folders import Data
from hearai.data.transforms import draw_side, normalise
from hearai.models.model import SignModel
from hearai.training.features import EitherSide, Features, can_use_features, load_features, run_length
from hearai.training.runtime import Runtime

EVALUATION_BATCH = 256
"""Clips per step of an evaluation on features, which cost next to nothing."""


class Feed:
    """Batches of train and validation: this worker's share, a pure function of (seed, epoch)."""

    def __init__(self, config: Config, data: Data, model: SignModel, runtime: Runtime):
        self._config, self._runtime = config, runtime
        self._fast = config.train_parameters.fast_dev_run
        self.epochs, self.steps_per_epoch = run_length(config, data)
        lookup = mirrored = None
        if can_use_features(config, data):
            lookup, mirrored = load_features(config, data, model.feature_extractor, runtime.device)
        self.from_features = lookup is not None
        """Whether batches hold features, so that the backbone is not needed."""
        self.backbone_hash = lookup.backbone_hash if lookup else None
        """Of the weights that the features come from."""
        sides = EitherSide(lookup, mirrored) if mirrored else lookup
        self._train = build_dataset(config, data.split.train, train=True, lookup=sides)
        if mirrored:
            self._train.augment = draw_side
        self._val = still_batches(config, data.split.val, runtime, lookup)

    def train(self, epoch: int) -> Iterable[Batch]:
        """Shuffled training batches of an epoch (0-based), each frame jittered inside its segment."""
        self._train.set_epoch(epoch)
        loader = _loader(
            self._train,
            self._config,
            self._runtime,
            shuffle_seed=derived_seed(self._config.general_parameters.seed, epoch),
        )
        return islice(loader, self.steps_per_epoch)

    def val(self) -> Iterable[Batch]:
        """Validation batches, the same in every epoch."""
        return islice(self._val, 1) if self._fast else self._val


def derived_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed of its own for every (seed, epoch, worker)."""
    return ((seed * 1_000_003 + epoch) * 1_009 + rank) % 2**63


def still_batches(config: Config, clips: Sequence[Clip], runtime: Runtime, lookup: Features | None) -> Iterable[Batch]:
    """Batches for evaluation: no jitter, no augmentation, in the order of `clips`. Features are kept in memory."""
    dataset = build_dataset(config, clips, train=False, lookup=lookup)
    if lookup is None:
        return _loader(dataset, config, runtime, shuffle_seed=None)
    loader = build_loader(
        dataset, batch_size=EVALUATION_BATCH, shuffle_seed=None, rank=runtime.rank, world=runtime.world
    )
    return [batch.to(runtime.device) for batch in loader]


def prepared(batch: Batch, device: torch.device) -> Batch:
    """The batch on the device, its pictures normalised there (uint8 travels at a quarter of the size)."""
    batch = batch.to(device)
    if "frames" not in batch.inputs:
        return batch
    inputs = {**batch.inputs, "frames": normalise(batch.inputs["frames"])}
    return Batch(inputs, batch.mask, batch.labels, batch.index)


def _loader(dataset: ClipDataset, config: Config, runtime: Runtime, *, shuffle_seed: int | None) -> Iterable[Batch]:
    return build_loader(
        dataset,
        batch_size=config.train_parameters.batch_size,
        shuffle_seed=shuffle_seed,
        workers=config.general_parameters.workers,
        rank=runtime.rank,
        world=runtime.world,
    )
