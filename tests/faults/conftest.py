"""A dataset and a study small enough for a cluster on two cores."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))  # what kills trials there kills them here

SPACE = """
description: tiny
budget: {trials: 4}
sampler: {name: random}
early_stopping: {name: none}
finalists: {count: 0}
pretrain: false
config:
  general_parameters: {gpu: -1, ratio_test: 0.25, ratio_train_test: 0.67}
  augmentations_parameters: {resize_size: 32, center_crop_size: 32}
  train_parameters: {classification_mode: gloss, epochs: 40, batch_size: 4, num_segments: 3}
  feature_extractor: {model_path: test_efficientnet, representation_size: 16, pretrained: false}
  transformer: {feedforward_size: 32, num_attention_heads: 2, num_encoder_layers: 1, output_size: 16}
space:
  train_parameters.lr: {float: [1.0e-4, 1.0e-1], log: true}
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """The study's file."""
    path = tmp_path / "tiny.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def data(make_dataset: Callable[..., Path]) -> Path:
    """Twelve clips."""
    return make_dataset()
