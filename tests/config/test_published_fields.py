"""Every field of the published pipeline's config is accepted in each type that it may have, and read back."""

import random
from typing import Any

import pytest

from hearai.config.config import build_config, to_yaml
from hearai.config.overrides import get_path, override
from hearai.config.search_space.space import parse_space
from hearai.config.search_space.space_check import space_problems
from hearai.config.yaml_io import parse_yaml
from hearai.errors import ConfigError

PUBLISHED: dict[str, list[Any]] = {
    "general_parameters.data_path": ["data/pjm"],
    "general_parameters.data_paths": [["data/pjm", "data/glex"]],
    "general_parameters.ratio_train_test": [0.8, "8e-1"],
    "general_parameters.workers": [0, 4],
    "general_parameters.gpu": [0, -1],
    "general_parameters.path_to_save": ["runs/best.pth"],
    "general_parameters.seed": [2021],
    "general_parameters.neptune": [True, False],
    "augmentations_parameters.apply_resize": [True, False],
    "augmentations_parameters.apply_center_crop": [True, False],
    "augmentations_parameters.apply_random_erasing": [True, False],
    "augmentations_parameters.apply_random_rotation": [True, False],
    "augmentations_parameters.apply_color_jitter": [True, False],
    "augmentations_parameters.apply_rgb_shift": [True, False],
    "augmentations_parameters.apply_blur": [True, False],
    "augmentations_parameters.resize_size": [256],
    "augmentations_parameters.center_crop_size": [224, [224], [192, 224], [256, 340], (192, 224)],
    "augmentations_parameters.random_erasing_probability": [0, 0.5, 1],
    "augmentations_parameters.random_rotation_degree": [5, 7.5],
    "augmentations_parameters.color_jitter_brightness": [0, 0.1, 2, "1e-1", [0.8, 1.2], [0, 0], (0.5, 3)],
    "augmentations_parameters.color_jitter_contrast": [0, 0.1, [0.8, 1.2]],
    "augmentations_parameters.color_jitter_saturation": [0, 0.1, [0.8, 1.2]],
    "augmentations_parameters.color_jitter_hue": [0, 0.05, 0.5, [-0.1, 0.2], [-0.5, 0.5], [0.1, 0.1]],
    "augmentations_parameters.rgb_shift_r_shift_limit": [0.2],
    "augmentations_parameters.rgb_shift_g_shift_limit": [0.2],
    "augmentations_parameters.rgb_shift_b_shift_limit": [0.2],
    "augmentations_parameters.blur_limit": [1, 3],
    "train_parameters.classification_mode": ["hamnosys", "gloss", ["gloss", "hamnosys"]],
    "train_parameters.epochs": [100],
    "train_parameters.batch_size": [4],
    "train_parameters.lr": [0.001, "1e-4"],
    "train_parameters.num_segments": [8],
    "train_parameters.fast_dev_run": [True, False],
    "train_parameters.pre_training": [True, False],
    "train_parameters.landmarks": [True, False],
    "train_parameters.use_frames": [True],
    "train_parameters.use_landmarks": [True, False],
    "train_parameters.time": [None, 0.1],
    "train_parameters.warmup_steps": [0, 20.0],
    "train_parameters.multiply_lr_step": [0.95],
    "feature_extractor.name": ["cnn_extractor", "resnet50_extractor", "multi_frame_feature_extractor"],
    "feature_extractor.model_path": ["efficientnet_b1"],
    "feature_extractor.representation_size": [512],
    "transformer.name": ["sign_language_transformer", "hubert_transformer", "fake_transformer"],
    "transformer.feedforward_size": [1024],
    "transformer.num_attention_heads": [4],
    "transformer.num_encoder_layers": [2],
    "transformer.output_size": [1024],
    "transformer.dropout_rate": [0.1],
    "heads.model": [{"additional_layers": 1, "dropout_rate": 0.1}],
    "heads.gloss": [{"gloss": {"num_class": 2400, "loss_weight": 1}}],
    "heads.hamnosys": [{"symmetry_operator": {"num_class": 9, "loss_weight": 0.125}}],
    "freeze_scheduler.model_params": [{"feature_extractor": [True, False], "transformer": [False, True]}],
    "freeze_scheduler.freeze_pattern_repeats": [[10], 5],
    "freeze_scheduler.freeze_mode": ["epoch", "step"],
    "freeze_scheduler.verbose": [True, False],
}
"""{field: values of each published type}; the older names of three fields are among them."""


@pytest.mark.heavy
@pytest.mark.parametrize("path", PUBLISHED)
def test_published_field_takes_each_published_type(path: str) -> None:
    section, key = path.split(".")
    for value in PUBLISHED[path]:
        config = build_config({section: {key: value}})
        assert build_config(parse_yaml(to_yaml(config), "f")) == config
        if section == "augmentations_parameters":
            expected = float(value) if isinstance(value, str) else value
            assert get_path(config, path) == (list(expected) if isinstance(expected, tuple) else expected)


JITTER = "augmentations_parameters.color_jitter_"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        *[(f"{JITTER}brightness", value, "(number >= 0) or a list [min, max]") for value in (-0.1, "x", True, None)],
        *[(f"{JITTER}contrast", value, "(0 <= min <= max)") for value in ([-0.1, 1], [1.2, 0.8], [1], [1, 2, 3], [])],
        *[(f"{JITTER}saturation", value, "(0 <= min <= max)") for value in ([0, float("inf")], [True, 1], "(1, 2)")],
        *[(f"{JITTER}hue", value, "(-0.5 <= min <= max <= 0.5)") for value in (0.6, -0.1, [-0.6, 0], [0.2, 0.1])],
        *[
            ("augmentations_parameters.center_crop_size", value, "(8..4096) or a list [height, width]")
            for value in (7, 5000, 100.5, True, [], [100, 7], [100, 100, 100], ["a", 100], {"h": 1})
        ],
    ],
)
def test_other_values_are_refused_with_what_is_allowed(path: str, value: Any, words: str) -> None:
    section, key = path.split(".")
    with pytest.raises(ConfigError) as caught:
        build_config({section: {key: value}})
    (problem,) = caught.value.problems
    assert problem.startswith(f"config: {path}: got {value!r}; must be ") and words in problem


def test_crop_must_fit_the_resized_image_on_its_shorter_side() -> None:
    size = {"resize_size": 100}
    assert build_config({"augmentations_parameters": {**size, "center_crop_size": [100, 160]}})
    with pytest.raises(ConfigError, match="center_crop_size: 101 is larger than resize_size 100"):
        build_config({"augmentations_parameters": {**size, "center_crop_size": [160, 101]}})


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("path", "values"),
    [
        (f"{JITTER}hue", [0.05, [-0.1, 0.1], [0, 0.2]]),
        (f"{JITTER}brightness", [[0.8, 1.2], [0.5, 1.5]]),
        ("augmentations_parameters.center_crop_size", [224, [192, 224], [128]]),
        ("freeze_scheduler.freeze_pattern_repeats", [4, [5]]),
    ],
)
def test_options_that_can_be_lists_are_searched(path: str, values: list[Any]) -> None:
    base = build_config({})
    space = parse_space(
        {path: {"choice": values}, "train_parameters.epochs": {"int": [1, 9], "when": {path: values[:1]}}}
        if not isinstance(values[0], list)
        else {path: {"choice": values}},
        "space.yml",
    )
    assert not space_problems(space, base)
    points = [space.sample(random.Random(seed), base) for seed in range(30)]
    found = [get_path(override(base, space.expand(point)), path) for point in points]
    assert all(value in found for value in values)
    if "train_parameters.epochs" in space.domains:
        assert all(("train_parameters.epochs" in p) == (v == values[0]) for p, v in zip(points, found, strict=True))
    constant = parse_space({path: values[-1]}, "space.yml")
    assert get_path(override(base, constant.expand(constant.sample(random.Random(0), base))), path) == values[-1]


def test_invalid_list_in_a_space_is_an_error_with_its_path() -> None:
    base = build_config({})
    (problem,) = space_problems(parse_space({f"{JITTER}hue": {"choice": [0.1, [0.3, 0.1]]}}, "f"), base)
    assert problem.startswith(f"space: {JITTER}hue: got [0.3, 0.1]; must be a number")
    with pytest.raises(ConfigError, match="contains duplicates"):
        parse_space({f"{JITTER}hue": {"choice": [[0, 0.1], [0, 0.1]]}}, "f")
