"""Which clips weights were trained on: their own, those of the weights before them, and copies."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.overrides import override
from hearai.data.annotations.load import Data, load_data
from hearai.training.outputs.trained_clips import are_trained, trained_clips

NO_CLIPS = torch.empty((0, 2), dtype=torch.int64)


@pytest.fixture
def data(make_config: Callable, make_dataset: Callable) -> Data:
    return load_data(make_config(make_dataset(clips=24, first_seed=0)))


def test_the_training_clips_and_no_others_are_trained(data: Data):
    trained = trained_clips(data, NO_CLIPS)
    assert trained.shape == (len(data.split.train), 2) and trained.dtype == torch.int64
    for clips, expected in ((data.split.train, True), (data.split.val, False), (data.split.test, False)):
        assert are_trained(clips, data.fingerprints, trained) == [expected] * len(clips)
    assert not any(are_trained(data.clips, data.fingerprints, NO_CLIPS))


def test_earlier_clips_are_added_and_unknown_ones_hide_all(data: Data):
    own = trained_clips(data, NO_CLIPS)
    more = torch.cat([own[:3], torch.tensor([[7, 8]])])
    assert {*map(tuple, trained_clips(data, more).tolist())} == {*map(tuple, own.tolist()), (7, 8)}
    assert len(trained_clips(data, more)) == len(own) + 1
    assert trained_clips(data, None) is None


def test_one_of_two_inputs_is_enough_to_find_a_clip(make_config: Callable, make_dataset: Callable):
    config = make_config(make_dataset(clips=12, landmarks=True, first_seed=0))
    both = load_data(override(config, {"train_parameters.landmarks": True}))
    images = load_data(config)
    inputs = {"train_parameters.landmarks": True, "train_parameters.frames": False}
    landmarks = load_data(override(config, {**inputs, "feature_extractor.name": "points"}))
    trained = trained_clips(both, NO_CLIPS)
    for part in (images, landmarks):
        assert sum(are_trained(part.clips, part.fingerprints, trained)) == len(both.split.train)
    assert not any(are_trained(landmarks.clips, landmarks.fingerprints, trained_clips(images, NO_CLIPS)))


def test_validation_clips_that_are_trained_on_count(make_config: Callable, tiny_dataset: Path):
    data = load_data(make_config(tiny_dataset, {"general_parameters.train_on_validation": True}))
    assert all(are_trained(data.split.val, data.fingerprints, trained_clips(data, NO_CLIPS)))
