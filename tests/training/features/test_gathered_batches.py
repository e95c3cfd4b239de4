"""Batches gathered from the table of features are those that are read clip by clip."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config
from hearai.data.annotations.load import load_data
from hearai.data.batch import Batch
from hearai.data.dataset import BatchSampler, ClipDataset, build_dataset, build_loader
from hearai.data.transforms import draw_side
from hearai.models.model import build_model
from hearai.training.features.feature_cache import Features, FlippedFeatures, load_features
from hearai.training.features.gathered_batches import GatheredBatches

CPU = torch.device("cpu")


@pytest.fixture
def features(make_config: Callable[..., Config], make_dataset: Callable[..., Path]) -> tuple:
    """A config, its data, its features, and those of the mirrored clips. Some clips are shorter than 7 frames."""
    config = make_config(
        make_dataset(clips=14, frames=5),
        {"augmentations_parameters.apply_horizontal_flip": True, "train_parameters.num_segments": 6},
    )
    data = load_data(config)
    extractor = build_model(config, data.num_class).feature_extractor
    return config, data, *load_features(config, data, extractor, CPU)


def assert_equal(one: Batch, other: Batch) -> None:
    assert torch.equal(one.inputs["features"], other.inputs["features"])
    assert torch.equal(one.mask, other.mask) and torch.equal(one.index, other.index)
    assert one.labels.keys() == other.labels.keys()
    assert all(torch.equal(label_B, other.labels[head]) for head, label_B in one.labels.items())


def clip_by_clip(
    config: Config, clips: tuple, plain: Features, flipped: Features | None, *, train: bool
) -> tuple[ClipDataset, GatheredBatches]:
    source = FlippedFeatures(plain, flipped) if flipped else plain
    dataset = build_dataset(config, clips, train=train, features=source)
    dataset.augment = draw_side if flipped else None
    return dataset, GatheredBatches(dataset, plain, flipped, CPU)


@pytest.mark.heavy
@pytest.mark.parametrize(("rank", "world", "first"), [(0, 1, 0), (0, 1, 2), (0, 3, 0), (2, 3, 0)])
@pytest.mark.parametrize("mirror", [False, True])
def test_gathered_batches_are_those_read_clip_by_clip(
    features: tuple, rank: int, world: int, first: int, mirror: bool
) -> None:
    config, data, plain, flipped = features
    dataset, gathered = clip_by_clip(config, data.split.train, plain, flipped if mirror else None, train=True)
    for epoch in range(3):
        dataset.set_epoch(epoch)
        values = {"batch_size": 3, "shuffle_seed": epoch, "rank": rank, "world": world, "first": first}
        expected = list(build_loader(dataset, **values))
        found = list(gathered.epoch(BatchSampler(len(dataset), **values)))
        assert len(found) == len(expected) > 0
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)


@pytest.mark.heavy
def test_batches_to_evaluate_are_in_order_and_padded(features: tuple) -> None:
    config, data, plain, _ = features
    dataset, gathered = clip_by_clip(config, data.split.val, plain, None, train=False)
    (batch,) = gathered.epoch(BatchSampler(len(dataset), batch_size=99, shuffle_seed=None))
    (expected,) = build_loader(dataset, batch_size=99, shuffle_seed=None)
    assert_equal(batch, expected)
    assert batch.index.tolist() == list(range(len(data.split.val)))
    assert not batch.inputs["features"][~batch.mask].any()
