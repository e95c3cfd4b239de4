"""Random augmentation, one draw per clip, and normalisation. T frames, C/H/W channels, height, width, P points."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F
from torchvision.tv_tensors import TVTensor

from hearai.config.config import Config
from hearai.config.model_parts import AUGMENTATIONS
from hearai.config.model_parts.load_part import make_part
from hearai.config.model_parts.part_names import AUGMENTATION
from hearai.config.schema import AugmentationsParameters
from hearai.data.landmarks.augmentation import LandmarkAugmentation
from hearai.data.landmarks.clip_points import mirrored, rotated

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Inputs = Mapping[str, torch.Tensor]
"""A clip's inputs: `frames` uint8 (T, C, H, W), `features` (T, W) or `landmarks` (T, P, C)."""


class Points(TVTensor):
    """Landmarks as a torchvision type: transforms flip and rotate them, and leave them unchanged otherwise."""


@F.register_kernel(functional=F.horizontal_flip, tv_tensor_cls=Points)
def _flip_points(points: torch.Tensor) -> torch.Tensor:
    return mirrored(points)


@F.register_kernel(functional=F.rotate, tv_tensor_cls=Points)
def _rotate_points(points: torch.Tensor, angle: float, **_: Any) -> torch.Tensor:
    return rotated(points, angle)


class RandomRGBShift(v2.Transform):
    """Adds one random value to each colour channel; limits are shares of full scale."""

    def __init__(self, limits: tuple[float, float, float]):
        super().__init__()
        self.limits = limits

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"shift_C": (torch.rand(3) * 2 - 1) * torch.tensor(self.limits) * 255}

    def transform(self, inpt: torch.Tensor, params: dict[str, Any]) -> torch.Tensor:
        if isinstance(inpt, Points):
            return inpt
        return (inpt + params["shift_C"].view(3, 1, 1)).round().clamp(0, 255).to(inpt.dtype)


class RandomBlur(v2.Transform):
    """Gaussian blur with a random odd kernel of 1..limit pixels; 1 leaves the clip unchanged."""

    def __init__(self, limit: int):
        super().__init__()
        self.limit = limit

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"kernel": 2 * int(torch.randint((self.limit + 1) // 2, ())) + 1}

    def transform(self, inpt: torch.Tensor, params: dict[str, Any]) -> torch.Tensor:
        kernel = params["kernel"]
        return inpt if kernel == 1 or isinstance(inpt, Points) else F.gaussian_blur(inpt, [kernel, kernel])


class Augmentation:
    """Applies the same random change to all frames of a clip; draws from torch's global generator.

    Args:
        steps: what is done to images, and to landmarks where they would no longer fit otherwise.
        landmarks: what is done to landmarks alone, afterwards.
        own: what a part of the user's own does to both, at the end.
    """

    def __init__(
        self,
        steps: Sequence[v2.Transform],
        landmarks: LandmarkAugmentation,
        own: Callable[[dict[str, torch.Tensor]], Inputs] | None = None,
    ):
        self.transform = v2.Compose(steps) if steps else v2.Identity()
        self.landmarks, self.own = landmarks, own

    def __call__(self, inputs: Inputs) -> Inputs:
        typed = {name: Points(tensor) if name == "landmarks" else tensor for name, tensor in inputs.items()}
        changed: Inputs = {name: tensor.as_subclass(torch.Tensor) for name, tensor in self.transform(typed).items()}
        changed = _changed_landmarks(changed, self.landmarks)
        return changed if self.own is None else self.own(dict(changed))


class FeatureAugmentation:
    """The same for cached features: those of the images as they are, or of mirrored ones; landmarks are changed too.

    Args:
        mirrored: choose between the plain and mirrored features of (2, T, W), as `RandomHorizontalFlip` would.
    """

    def __init__(self, *, mirrored: bool, landmarks: LandmarkAugmentation):
        self.mirrored, self.landmarks = mirrored, landmarks

    def __call__(self, inputs: Inputs) -> Inputs:
        return _changed_landmarks(draw_side(inputs) if self.mirrored else inputs, self.landmarks)


def _changed_landmarks(inputs: Inputs, change: LandmarkAugmentation) -> Inputs:
    if "landmarks" not in inputs or not change.is_active:
        return inputs
    return {**inputs, "landmarks": change(inputs["landmarks"])}


def build_augmentation(config: Config) -> Augmentation:
    """The augmentation that the config enables.

    Raises:
        ConfigError: no such augmentation of the user's own, or it cannot be made.
    """
    p = config.augmentations_parameters
    own = None if p.augmentation in AUGMENTATIONS else make_part(AUGMENTATION, p.augmentation, p.augmentation_kwargs)
    steps = _random_steps(p, images=config.train_parameters.frames)
    return Augmentation(steps, _landmark_augmentation(config), own)


def build_feature_augmentation(config: Config, *, mirrored: bool) -> FeatureAugmentation | None:
    """What the config enables of it for cached features; None = nothing.

    Args:
        mirrored: there are features of mirrored images as well.
    """
    change = _landmark_augmentation(config)
    if not mirrored and not (config.train_parameters.landmarks and change.is_active):
        return None
    return FeatureAugmentation(mirrored=mirrored, landmarks=change)


def _landmark_augmentation(config: Config) -> LandmarkAugmentation:
    fields = {field: f"landmark_{field}" for field in LandmarkAugmentation.__dataclass_fields__}
    return LandmarkAugmentation(**{key: getattr(config.augmentations_parameters, name) for key, name in fields.items()})


def draw_side(inputs: Inputs) -> Inputs:
    """Chooses the plain or mirrored features of (2, T, W), as `RandomHorizontalFlip` would; landmarks follow."""
    flipped = _draws_mirrored(torch.default_generator)
    chosen = {**inputs, "features": inputs["features"][int(flipped)]}
    if flipped and "landmarks" in inputs:
        chosen["landmarks"] = mirrored(inputs["landmarks"])
    return chosen


def draws_mirrored(seed: int) -> bool:
    """What `draw_side` chooses with this seed of torch's global generator."""
    return _draws_mirrored(torch.Generator().manual_seed(seed))


def _draws_mirrored(generator: torch.Generator) -> bool:
    return bool(torch.rand(1, generator=generator) < 0.5)


def has_random_augmentation(config: Config) -> bool:
    """Whether training images differ from epoch to epoch, so that nothing computed from them can be cached.

    What is done to landmarks alone does not count: nothing computed from them is cached.
    """
    p = config.augmentations_parameters
    return p.augmentation not in AUGMENTATIONS or bool(_random_steps(p, images=True))


def _random_steps(p: AugmentationsParameters, *, images: bool) -> list[v2.Transform]:
    """The transforms that the config enables; without images, only those that change landmarks."""
    steps: list[v2.Transform] = []
    if p.apply_horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    if p.apply_random_rotation:
        steps.append(v2.RandomRotation(p.random_rotation_degree, v2.InterpolationMode.BILINEAR))
    if not images:
        return steps
    if p.apply_color_jitter:
        jitter = (p.color_jitter_brightness, p.color_jitter_contrast, p.color_jitter_saturation, p.color_jitter_hue)
        steps.append(v2.ColorJitter(*jitter))
    if p.apply_rgb_shift:
        limits = (p.rgb_shift_r_shift_limit, p.rgb_shift_g_shift_limit, p.rgb_shift_b_shift_limit)
        steps.append(RandomRGBShift(limits))
    if p.apply_blur:
        steps.append(RandomBlur(p.blur_limit))
    if p.apply_random_erasing:
        steps.append(v2.RandomErasing(p.random_erasing_probability))
    return steps


def normalise(frames: torch.Tensor) -> torch.Tensor:
    """uint8 (..., C, H, W) -> float, normalised by ImageNet's mean and deviation, as timm's weights expect."""
    mean = torch.tensor(IMAGENET_MEAN, device=frames.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=frames.device).view(3, 1, 1)
    return (frames / 255 - mean) / std
