"""Random augmentation: one draw per clip, reproducible, within the limits of the config."""

from collections.abc import Callable

import pytest
import torch

from hearai.config.config import AugmentationsParameters
from hearai.data.transforms import build_augmentation, has_random_augmentation, normalise

SWITCHES = [
    "apply_horizontal_flip",
    "apply_random_erasing",
    "apply_random_rotation",
    "apply_color_jitter",
    "apply_rgb_shift",
    "apply_blur",
]
STRONG = {
    "random_erasing_probability": 1.0,
    "random_rotation_degree": 45,
    "color_jitter_brightness": 0.8,
    "blur_limit": 9,
}


def augmentation(make_config: Callable, *switches: str, **values) -> Callable:
    values = {**STRONG, **dict.fromkeys(switches, True), **values}
    augment = build_augmentation(
        make_config(None, {f"augmentations_parameters.{name}": value for name, value in values.items()})
    )
    return lambda clip_TCHW: augment({"frames": clip_TCHW})["frames"]


@pytest.fixture
def clip_TCHW() -> torch.Tensor:
    """The same image four times."""
    image = torch.randint(0, 256, (3, 24, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return image.repeat(4, 1, 1, 1)


def test_every_switch_of_the_config_is_covered():
    deterministic = {"apply_resize", "apply_center_crop"}
    switches = {name for name in AugmentationsParameters.model_fields if name.startswith("apply_")}
    assert switches == {*SWITCHES, *deterministic}


@pytest.mark.parametrize("switch", SWITCHES)
def test_frames_of_a_clip_change_alike_and_draws_differ(make_config: Callable, clip_TCHW: torch.Tensor, switch: str):
    augment = augmentation(make_config, switch)
    torch.manual_seed(0)
    results = [augment(clip_TCHW) for _ in range(12)]
    for result in results:
        assert result.shape == clip_TCHW.shape and result.dtype == torch.uint8
        assert all(torch.equal(result[0], frame) for frame in result)
    assert len({result.numpy().tobytes() for result in results}) > 1
    assert any(not torch.equal(result, clip_TCHW) for result in results)


@pytest.mark.parametrize("switch", SWITCHES)
def test_same_seed_gives_the_same_change(make_config: Callable, clip_TCHW: torch.Tensor, switch: str):
    augment = augmentation(make_config, switch)
    torch.manual_seed(5)
    first = augment(clip_TCHW)
    torch.manual_seed(5)
    assert torch.equal(augment(clip_TCHW), first)


def test_without_augmentation_the_clip_is_unchanged(make_config: Callable, clip_TCHW: torch.Tensor):
    assert torch.equal(augmentation(make_config)(clip_TCHW), clip_TCHW)


@pytest.mark.parametrize("switch", SWITCHES)
def test_random_switches_are_recognised(make_config: Callable, switch: str):
    assert has_random_augmentation(make_config(None, {f"augmentations_parameters.{switch}": True}))
    assert not has_random_augmentation(make_config(None))


def test_flip_mirrors_half_of_the_clips(make_config: Callable, clip_TCHW: torch.Tensor):
    augment = augmentation(make_config, "apply_horizontal_flip")
    torch.manual_seed(0)
    mirrored = [torch.equal(augment(clip_TCHW), clip_TCHW.flip(-1)) for _ in range(200)]
    assert 70 < sum(mirrored) < 130


def test_rgb_shift_stays_within_its_limits(make_config: Callable):
    limits = {"rgb_shift_r_shift_limit": 0.2, "rgb_shift_g_shift_limit": 0.1, "rgb_shift_b_shift_limit": 0.0}
    augment = augmentation(make_config, "apply_rgb_shift", **limits)
    grey = torch.full((2, 3, 4, 4), 128, dtype=torch.uint8)
    torch.manual_seed(0)
    shifts_NC = torch.stack([augment(grey)[0, :, 0, 0].int() - 128 for _ in range(300)])
    assert shifts_NC.abs().amax(0).tolist() == [51, pytest.approx(25, abs=1), 0]
    assert shifts_NC.amin(0)[0] < -45


def test_rgb_shift_does_not_wrap_around(make_config: Callable):
    augment = augmentation(make_config, "apply_rgb_shift")
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    torch.manual_seed(0)
    assert all(augment(white).min() >= 255 - 51 for _ in range(50))


@pytest.mark.parametrize(("limit", "kinds"), [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_blur_draws_odd_kernels_up_to_its_limit(make_config: Callable, clip_TCHW: torch.Tensor, limit: int, kinds: int):
    augment = augmentation(make_config, "apply_blur", blur_limit=limit)
    torch.manual_seed(0)
    assert len({augment(clip_TCHW).numpy().tobytes() for _ in range(60)}) == kinds


def test_normalisation_uses_imagenet_statistics():
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    expected = torch.tensor([[-2.1179, -2.0357, -1.8044], [2.2489, 2.4286, 2.6400]])
    assert torch.allclose(normalise(black_and_white).flatten(1), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("parameter", "given", "expected"),
    [
        ("brightness", [0.5, 0.5], [100, 50, 25]),
        ("contrast", [0, 0], [124, 124, 124]),  # the mean luminance
        ("saturation", [0, 0], [124, 124, 124]),
        ("hue", [-0.5, -0.5], [50, 150, 200]),
        ("hue", 0, [200, 100, 50]),
    ],
)
def test_jitter_takes_a_range_as_torchvision_does(make_config: Callable, parameter: str, given, expected: list[int]):
    off = {f"color_jitter_{name}": 0 for name in ("brightness", "contrast", "saturation", "hue")}
    augment = augmentation(make_config, "apply_color_jitter", **{**off, f"color_jitter_{parameter}": given})
    colour = torch.tensor([200, 100, 50], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 8, 8)
    found = augment(colour)[0, :, 0, 0].tolist()
    assert found == pytest.approx(expected, abs=2)
