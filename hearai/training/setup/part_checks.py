"""Checks once, before any trial, the parts of the user's own that its configs name: see `part_promises`.

B clips, T frames; H/W image, P points with C channels.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hearai.config.config import Config, NamedPart
from hearai.config.model_parts import AUGMENTATIONS, EXTRACTORS, LOSSES, SEQUENCE_ENCODERS
from hearai.config.model_parts.load_part import make_part
from hearai.config.model_parts.part_names import AUGMENTATION, ENCODER, EXTRACTOR, LOSS, PartKind, collision
from hearai.data.transforms import build_augmentation
from hearai.errors import ConfigError
from hearai.models.feature_extractors import build_extractor
from hearai.models.sequence_encoders import build_sequence_encoder
from hearai.sign.skeleton import CHANNELS, POINTS
from hearai.training.setup.part_promises import MASK_BT, augmentation_problems, loss_problems, module_problems

OURS: dict[PartKind, Mapping[str, Any]] = {
    EXTRACTOR: EXTRACTORS,
    ENCODER: SEQUENCE_ENCODERS,
    LOSS: LOSSES,
    AUGMENTATION: AUGMENTATIONS,
}
MOST_PROBLEMS = 20


def check_own_parts(configs: Iterable[Config]) -> None:
    """Checks each different part of the user's own, with the keyword arguments that it gets, in the given configs.

    Raises:
        ConfigError: every problem of every part.
    """
    checked: set[tuple[Any, ...]] = set()
    problems: list[str] = []
    for config in configs:
        for part in config.parts:
            if (key := _identity(config, part)) not in checked:
                checked.add(key)
                problems += _problems(config, part)
    problems = list(dict.fromkeys(problems))
    if problems:
        more = [f"and {len(problems) - MOST_PROBLEMS} more problems"] if len(problems) > MOST_PROBLEMS else []
        raise ConfigError([*problems[:MOST_PROBLEMS], *more])


def _identity(config: Config, part: NamedPart) -> tuple[Any, ...]:
    """Two parts with the same identity behave the same in all checks."""
    if not part.is_own:
        return part.kind, part.name
    train = config.train_parameters
    context: dict[Any, tuple[Any, ...]] = {
        EXTRACTOR: (train.frames, _image_size(config)),
        ENCODER: (config.feature_extractor.representation_size, config.transformer),
        LOSS: (train.label_smoothing > 0,),
        AUGMENTATION: (train.frames, train.landmarks, _image_size(config)),
    }
    return part.kind, part.name, part.kwargs, *context[part.kind]


def _problems(config: Config, part: NamedPart) -> list[str]:
    if clash := collision(part.kind, part.name, OURS[part.kind]):
        return [clash]
    if not part.is_own:
        return []
    check: Callable[[Config, NamedPart], Iterator[str]] = {
        EXTRACTOR: _extractor_problems,
        ENCODER: _encoder_problems,
        LOSS: _loss_problems,
        AUGMENTATION: _augmentation_problems,
    }[part.kind]
    given = f" with {part.kind.kwargs_path} {dict(part.kwargs)}" if part.kwargs else ""
    with torch.random.fork_rng(devices=[]):  # a checked run starts from the same weights as an unchecked one
        torch.manual_seed(0)
        try:
            return [f"{part.kind.name_path}: {part.name}{given}: {problem}" for problem in check(config, part)]
        except ConfigError as error:
            return error.problems


def _extractor_problems(config: Config, part: NamedPart) -> Iterator[str]:
    def build() -> nn.Module:
        return build_extractor(config.feature_extractor, pretrained=False).backbone

    return module_problems(build, _clips(config), frames=MASK_BT.shape[1])


def _encoder_problems(config: Config, part: NamedPart) -> Iterator[str]:
    width = config.feature_extractor.representation_size

    def build() -> nn.Module:
        return build_sequence_encoder(config.transformer, width)

    return module_problems(build, torch.randn(*MASK_BT.shape, width), frames=None)


def _loss_problems(config: Config, part: NamedPart) -> Iterator[str]:
    own = make_part(LOSS, part.name, part.kwargs, base=nn.Module)
    return loss_problems(own, config.train_parameters.label_smoothing)


def _augmentation_problems(config: Config, part: NamedPart) -> Iterator[str]:
    return augmentation_problems(build_augmentation(config).own, _inputs(config))


def _clips(config: Config) -> Tensor:
    """Random images (B, T, 3, H, W), normalised, or landmarks (B, T, P, C), all known."""
    if config.train_parameters.frames:
        return torch.randn(*MASK_BT.shape, 3, *_image_size(config))
    points = torch.rand(*MASK_BT.shape, POINTS, CHANNELS)
    points[..., 3] = 1
    return points


def _image_size(config: Config) -> tuple[int, int]:
    p = config.augmentations_parameters
    return p.crop_sides if p.apply_center_crop else (p.resize_size, p.resize_size)


def _inputs(config: Config) -> dict[str, Tensor]:
    train, frames = config.train_parameters, MASK_BT.shape[1]
    inputs: dict[str, Tensor] = {}
    if train.frames:
        inputs["frames"] = torch.randint(0, 256, (frames, 3, *_image_size(config)), dtype=torch.uint8)
    if train.landmarks:
        inputs["landmarks"] = torch.rand(frames, POINTS, CHANNELS)
        inputs["landmarks"][..., 3] = 1
    return inputs
