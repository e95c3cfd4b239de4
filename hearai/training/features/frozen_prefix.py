"""Which beginning of a backbone is frozen for a whole run, so that its activations are cached instead of its output.

For freeze schedules that train the last blocks alone. The rest of the backbone is run, and trained, on the activations.
"""

import logging

from torch import Tensor, nn

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.data.annotations.load import Data
from hearai.data.frames import build_reader
from hearai.data.transforms import has_random_augmentation
from hearai.files import cache_folder, free_space
from hearai.models.backbones.split_backbone import SplitBackbone, split_backbone
from hearai.models.feature_extractors import FeatureExtractor
from hearai.training.features.feature_cache import BACKBONE_MODULE, has_features, run_length
from hearai.training.optim.freeze import FreezeSchedule

log = logging.getLogger(__name__)

BYTES_PER_NUMBER = 4


class PrefixStage:
    """The frozen beginning of a backbone, as the feature cache computes it."""

    def __init__(self, split: SplitBackbone):
        self.backbone: nn.Module = split.prefix
        self.backbone_width = split.width

    def backbone_features(self, x_N: Tensor) -> Tensor:
        """Normalised images (N, C, H, W) -> flattened activations (N, A * h * w)."""
        return self.backbone(x_N)


def frozen_prefix(config: Config, data: Data, extractor: FeatureExtractor) -> SplitBackbone | None:
    """The split of the extractor's backbone after what is frozen in every step of the run; None = not cached.

    As for features, every image must be known in advance: of random augmentation only mirroring is allowed. The
    activations of all frames must fit into `general_parameters.frame_cache_gb` and on the disk; the log says if not.
    """
    if not _is_possible(config, data) or extractor.fixed_size is not None:
        return None
    frozen = _frozen_parts(config, data)
    if not any(part.startswith(f"{BACKBONE_MODULE}.") for part in frozen):
        return None
    clips = [*data.split.train, *data.split.val]
    _, height, width = build_reader(config)(clips[0].frame_path(clips[0].start)).shape

    def is_frozen(name: str) -> bool:
        return any(f"{BACKBONE_MODULE}.{name}.".startswith(f"{part}.") for part in frozen)

    split = split_backbone(extractor.backbone, is_frozen, (height, width))
    return split if split and _fits(config, data, split) else None


def _is_possible(config: Config, data: Data) -> bool:
    train = config.train_parameters
    unmirrored = override(config, {"augmentations_parameters.apply_horizontal_flip": False})
    is_plain = config.augmentations_parameters.apply_center_crop and not has_random_augmentation(unmirrored)
    return (
        is_plain and has_features(config) and bool(data.split.train) and not train.fast_dev_run and not train.landmarks
    )


def _frozen_parts(config: Config, data: Data) -> set[str]:
    """Parts of the model that the schedule keeps frozen in every step of the run."""
    epochs, steps_per_epoch = run_length(config, data)
    schedule = FreezeSchedule.build(config.freeze_scheduler)
    total = epochs if schedule.mode == "epoch" else epochs * steps_per_epoch
    return {part for part in schedule.patterns if schedule.frozen_lead(part, total) == total}


def _fits(config: Config, data: Data, split: SplitBackbone) -> bool:
    sides = 2 if config.augmentations_parameters.apply_horizontal_flip else 1
    frames = sum(sides * (clip.end - clip.start + 1) for clip in data.split.train)
    frames += sum(clip.end - clip.start + 1 for clip in data.split.val)
    size, budget = frames * split.width * BYTES_PER_NUMBER / 1e9, config.general_parameters.frame_cache_gb
    free, folder = free_space(cache_folder())
    if size > min(budget, free / 1e9):
        log.info(
            "activations of the frozen layers are not cached: they need %.1f GB, general_parameters.frame_cache_gb is "
            "%g, and %.1f GB are free in %s",
            size,
            budget,
            free / 1e9,
            folder,
        )
        return False
    return True
