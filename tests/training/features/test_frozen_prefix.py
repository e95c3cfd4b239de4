"""Activations of a backbone whose first blocks are frozen: cached, they give the same run as images."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.data.annotations.load import load_data
from hearai.errors import ConfigError
from hearai.models.model import build_initial_model
from hearai.training.features.frozen_prefix import frozen_prefix
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint, save_tensors
from hearai.training.runtime import LocalRuntime
from tests.helpers.runtimes import Interrupted, InterruptedRuntime, RecordingRuntime

pytestmark = pytest.mark.training

FIRST = ("conv_stem", "bn1", "blocks.0", "blocks.1")
BLOCKS = {
    "freeze_scheduler.model_params": {f"feature_extractor.backbone.{part}": [True] for part in FIRST},
    "freeze_scheduler.freeze_pattern_repeats": 99,
    "train_parameters.epochs": 3,
    "transformer.dropout_rate": 0.3,
}
MIRROR = {"augmentations_parameters.apply_horizontal_flip": True}
UNFROZEN_LATER = {
    "freeze_scheduler.model_params": {"feature_extractor.backbone": [True, False]},
    "freeze_scheduler.freeze_pattern_repeats": [2, 99],
    "train_parameters.epochs": 3,
}
NOT_CACHED = {"general_parameters.frame_cache_gb": 0}


@pytest.mark.parametrize("mirror", [False, True], ids=["unchanged", "mirrored at random"])
def test_cached_activations_give_the_same_run_as_images(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path, mirror: bool
) -> None:
    values = {**BLOCKS, **(MIRROR if mirror else {})}
    images, cached = RecordingRuntime(tmp_path / "images"), RecordingRuntime(tmp_path / "cached")
    fit(make_config(tiny_dataset, {**values, **NOT_CACHED}), images)
    assert not list((tmp_path / "cache").glob("features-*"))
    fit(make_config(tiny_dataset, values), cached)
    assert len(list((tmp_path / "cache").glob("features-*/rows.npy"))) == 1 + mirror
    assert not list((tmp_path / "cache").glob("frames-*")), "no image is needed"
    for found, expected in zip(cached.reports, images.reports, strict=True):
        for key in found.keys() - {"seconds"}:  # Adam magnifies rounding noise
            assert found[key] == pytest.approx(expected[key], abs=1e-2), key
    one, other = (load_checkpoint(tmp_path / folder / "last")["model"] for folder in ("cached", "images"))
    assert one.keys() == other.keys()
    assert any(name.startswith("feature_extractor.backbone.blocks.0") for name in one)


def test_a_run_on_activations_resumes_as_an_uninterrupted_one(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_dataset, BLOCKS)
    fit(config, LocalRuntime("cpu", tmp_path / "whole"))
    with pytest.raises(Interrupted):
        fit(config, InterruptedRuntime(tmp_path / "resumed", after_epoch=1))
    fit(config, LocalRuntime("cpu", tmp_path / "resumed", resume=True))
    one, other = (load_checkpoint(tmp_path / folder / "last")["model"] for folder in ("whole", "resumed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("values", [BLOCKS, UNFROZEN_LATER], ids=["first blocks", "first epochs"])
def test_a_run_does_not_continue_on_another_backbone(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path, values: dict
) -> None:
    """Its own weights are in the checkpoint; activations of another file's weights do not fit to them."""
    config = make_config(tiny_dataset, {**values, "feature_extractor.checkpoint": str(tmp_path / "backbone.pt")})

    def write_backbone(seed: int) -> None:
        random = override(config, {"feature_extractor.checkpoint": None, "general_parameters.seed": seed})
        backbone = build_initial_model(random, load_data(config).num_class).feature_extractor.backbone
        content = {"backbone": backbone.state_dict(), "model_path": config.feature_extractor.model_path}
        save_tensors(tmp_path / "backbone.pt", content)

    write_backbone(5)
    with pytest.raises(Interrupted):
        fit(config, InterruptedRuntime(tmp_path / "run", after_epoch=1))
    write_backbone(6)
    with pytest.raises(ConfigError, match="its features come from another backbone"):
        fit(config, LocalRuntime("cpu", tmp_path / "run", resume=True))
    write_backbone(5)
    fit(config, LocalRuntime("cpu", tmp_path / "run", resume=True))


@pytest.mark.parametrize(
    "values",
    [
        {"augmentations_parameters.apply_color_jitter": True},
        {"augmentations_parameters.apply_center_crop": False},
        {"train_parameters.landmarks": True},
        {"train_parameters.fast_dev_run": True},
        {"freeze_scheduler.freeze_pattern_repeats": 2},
        {"freeze_scheduler.model_params": {"feature_extractor.backbone.blocks.1": [True]}},
    ],
    ids=lambda values: next(iter(values)).rpartition(".")[2],
)
def test_activations_are_not_cached_where_they_would_differ(
    make_config: Callable[..., Config], tiny_dataset: Path, values: dict
) -> None:
    config = make_config(tiny_dataset, BLOCKS)
    data = load_data(config)
    extractor = build_initial_model(config, data.num_class).feature_extractor
    assert frozen_prefix(config, data, extractor)
    changed = make_config(tiny_dataset, {**BLOCKS, **values})
    assert frozen_prefix(changed, data, extractor) is None


def test_activations_beyond_the_budget_are_not_cached(
    make_config: Callable[..., Config], tiny_dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(tiny_dataset, {**BLOCKS, **NOT_CACHED})
    data = load_data(config)
    caplog.set_level(logging.INFO, "hearai")
    assert frozen_prefix(config, data, build_initial_model(config, data.num_class).feature_extractor) is None
    assert "frame_cache_gb is 0" in caplog.text
