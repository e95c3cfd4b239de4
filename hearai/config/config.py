"""The typed, immutable config of a run, read from YAML and written back.

A YAML file is a diff over the defaults in `schema.py`. Unknown keys, wrong types and invalid values raise one
`ConfigError` that lists every problem with its dotted path. Keys of older pipeline files are accepted as aliases.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, model_validator

from hearai.config.field_types import FrozenDict
from hearai.config.model_parts import AUGMENTATIONS, EXTRACTORS, LOSSES, SEQUENCE_ENCODERS
from hearai.config.model_parts.part_names import AUGMENTATION, ENCODER, EXTRACTOR, LOSS, OWN_NAME, PartKind
from hearai.config.model_schema import (
    FeatureExtractorParameters,
    FreezeScheduler,
    HeadGroups,
    HeadParameters,
    Transformer,
)
from hearai.config.schema import AugmentationsParameters, DataFolder, GeneralParameters, TrainParameters
from hearai.config.validation import Section, explain
from hearai.config.yaml_io import read_yaml
from hearai.errors import ConfigError, choices

MAX_REPAIRS = 10
"""Removing a refused value may bring up others, a few times."""


@dataclass(frozen=True)
class NamedPart:
    """A part of a model or its training, as a config names it."""

    kind: PartKind
    name: str
    kwargs: Mapping[str, Any]
    is_own: bool
    """Whether it is one of the user's own."""


class Config(Section):
    """The complete description of one run."""

    general_parameters: GeneralParameters = GeneralParameters()
    augmentations_parameters: AugmentationsParameters = AugmentationsParameters()
    train_parameters: TrainParameters = TrainParameters()
    feature_extractor: FeatureExtractorParameters = FeatureExtractorParameters()
    transformer: Transformer = Transformer()
    heads: HeadGroups = HeadGroups()
    freeze_scheduler: FreezeScheduler = FreezeScheduler()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "Config":
        problems = [*self._head_problems(), *self._input_problems(), *self._transformer_problems()]
        problems += self._kwargs_problems()
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @model_validator(mode="after")
    def _train_what_has_no_weights(self) -> "Config":
        """By default nothing is frozen where the backbone can only start from random weights."""
        schedule, extractor = self.freeze_scheduler, self.feature_extractor
        has_file = extractor.checkpoint is not None or extractor.weights_path is not None
        if not self.states_frozen_parts and extractor.spec.weights is None and not has_file:
            values = {**dict(schedule), "model_params": FrozenDict()}
            unstated = FreezeScheduler.model_construct(_fields_set=set(schedule.model_fields_set), **values)
            self.__dict__["freeze_scheduler"] = unstated  # frozen: cannot be assigned
        return self

    def _head_problems(self) -> list[str]:
        path, modes, groups = (
            "train_parameters.classification_mode",
            self.train_parameters.head_groups,
            self.heads.groups,
        )
        if unknown := [mode for mode in modes if mode not in groups]:
            return [f"{path}: unknown {mode!r}; {choices(mode, groups)}" for mode in unknown]
        if repeated := [mode for mode in dict.fromkeys(modes) if modes.count(mode) > 1]:
            return [f"{path}: {mode!r} is listed twice; list it once" for mode in repeated]
        owners: dict[str, list[str]] = {}
        for mode in modes:
            for head in groups[mode]:
                owners.setdefault(head, []).append(mode)
        shared = [
            f"{path}: the groups {' and '.join(found)} both have a head {head!r}; rename it in one of them"
            for head, found in owners.items()
            if len(found) > 1
        ]
        if shared:
            return shared
        if not any(head.loss_weight for head in self.active_heads.values()):
            where = " and ".join(f"heads.{mode}" for mode in modes)
            return [f"{where}: every loss_weight is 0, so nothing is trained; set at least one above 0"]
        return self._objective_problems()

    def _objective_problems(self) -> list[str]:
        heads, path = self.train_parameters.objective_heads, "train_parameters.objective_heads"
        unknown = [head for head in heads if head not in self.active_heads]
        repeated = [head for head in dict.fromkeys(heads) if heads.count(head) > 1]
        return [
            *(f"{path}: unknown {head!r}; {choices(head, self.active_heads)}" for head in unknown),
            *(f"{path}: {head!r} is listed twice; list it once" for head in repeated),
        ]

    def _input_problems(self) -> list[str]:
        augmentations, problems = self.augmentations_parameters, []
        resize, crop = augmentations.resize_size, min(augmentations.crop_sides)
        if augmentations.apply_resize and augmentations.apply_center_crop and crop > resize:
            problems.append(
                f"augmentations_parameters.center_crop_size: {crop} is larger than resize_size {resize}; "
                f"at most {resize} is allowed for the shorter side"
            )
        if augmentations.landmark_resample and self.train_parameters.frames:
            problems.append(
                f"augmentations_parameters.landmark_resample: got {augmentations.landmark_resample:g}, but the model "
                "also reads images, whose frames would no longer match; set it to 0, or train_parameters.frames: false"
            )
        return problems + self._extractor_problems()

    def _extractor_problems(self) -> list[str]:
        train, name, spec = self.train_parameters, self.feature_extractor.name, self.feature_extractor.spec
        if not train.frames and not train.landmarks:
            return ["train_parameters: frames and landmarks are both false; the model needs at least one of them"]
        if spec.reads == "landmarks" and (train.frames or not train.landmarks):
            return [
                f"feature_extractor.name: {name} reads landmarks only; set train_parameters.landmarks: true and "
                "frames: false (to use both inputs, choose an extractor that reads frames: a second extractor is "
                "added for the landmarks)"
            ]
        if spec.weights is None and self.feature_extractor.pretrained is True:
            return [
                f"feature_extractor.pretrained: true, but there are no published weights for {name}; "
                "set it to auto or false, or to the path of weights"
            ]
        if spec.reads == "frames" and not train.frames:
            readers = [other for other, known in EXTRACTORS.items() if known.reads == "landmarks"]
            return [
                f"train_parameters.frames: false, but {name} reads frames; set feature_extractor.name: "
                f"{' or '.join(readers)}, or frames: true"
            ]
        if train.pre_training and not spec.per_frame:
            return [
                f"train_parameters.pre_training: it trains on single frames, but {name} needs whole clips; remove it "
                "and train the backbone (freeze_scheduler)"
            ]
        return []

    def _transformer_problems(self) -> list[str]:
        transformer, width = self.transformer, self.feature_extractor.representation_size
        problems = []
        if transformer.spec.uses_attention_heads and width % transformer.num_attention_heads:
            problems.append(
                f"transformer.num_attention_heads: {transformer.num_attention_heads} does not divide "
                f"feature_extractor.representation_size {width}; choose a divisor"
            )
        if not transformer.spec.uses_pooling and transformer.pooling != "mean":
            problems.append(
                f"transformer.pooling: got {transformer.pooling!r}, but {transformer.name} always takes the mean of "
                "the frames; set mean, or another transformer.name"
            )
        return problems + self._foreign_options()

    def _foreign_options(self) -> list[str]:
        """Options of other sequence encoders that would have no effect here."""
        transformer, problems = self.transformer, []
        special = {option: name for name, spec in SEQUENCE_ENCODERS.items() for option in spec.options}
        for option, owner in special.items():
            value, default = getattr(transformer, option), Transformer.model_fields[option].default
            if option not in transformer.spec.options and value != default:
                problems.append(
                    f"transformer.{option}: got {value!r}, but {transformer.name} has no such option; remove it, or "
                    f"set transformer.name: {owner}"
                )
        return problems

    def _kwargs_problems(self) -> list[str]:
        """Keyword arguments of parts that take none."""
        return [
            f"{part.kind.kwargs_path}: got {dict(part.kwargs)}, but {part.name} takes none; remove them, or name a "
            f"part of your own ({OWN_NAME}) in {part.kind.name_path}"
            for part in self.parts
            if part.kwargs and not part.is_own
        ]

    @property
    def parts(self) -> tuple[NamedPart, ...]:
        """The parts that can be of the user's own."""
        train, augmentations = self.train_parameters, self.augmentations_parameters
        extractor, encoder, loss = self.feature_extractor, self.transformer, train.loss
        return (
            NamedPart(EXTRACTOR, extractor.name, extractor.kwargs, extractor.spec.is_own),
            NamedPart(ENCODER, encoder.name, encoder.kwargs, encoder.spec.is_own),
            NamedPart(LOSS, loss, train.loss_kwargs, loss not in LOSSES),
            NamedPart(
                AUGMENTATION,
                augmentations.augmentation,
                augmentations.augmentation_kwargs,
                augmentations.augmentation not in AUGMENTATIONS,
            ),
        )

    @property
    def states_frozen_parts(self) -> bool:
        """Whether `freeze_scheduler.model_params` was given; otherwise its default depends on the extractor."""
        return "model_params" in self.freeze_scheduler.model_fields_set

    @property
    def active_heads(self) -> dict[str, HeadParameters]:
        """{head: parameters} of the groups that classification_mode selects."""
        modes, groups = self.train_parameters.head_groups, self.heads.groups
        return {head: parameters for mode in modes for head, parameters in groups[mode].items()}


def build_config(raw: Mapping, where: str = "config") -> Config:
    """Validates a raw mapping.

    Raises:
        ConfigError: lists every problem as `where: dotted.path: what was given; what is allowed`.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([f"{where}: {problem}" for problem in explain(error, Config)]) from None


def salvage_config(raw: Mapping) -> Config | None:
    """The config without the values that are refused, to check what depends on it; None if that leads nowhere."""
    rest = copy.deepcopy(dict(raw))
    for _ in range(MAX_REPAIRS):
        try:
            return build_config(rest, "")
        except ConfigError as error:
            removed = [_remove(rest, problem.removeprefix(": ").partition(": ")[0]) for problem in error.problems]
            if not any(removed):
                return None
    return None


def _remove(raw: dict, path: str) -> bool:
    """Removes the value at a dotted path, or the deepest one on the way there; returns whether there was one."""
    node: dict = raw
    keys = path.split(".")
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        if key not in node:
            return False
        if following is None or not isinstance(node[key], dict) or following not in node[key]:
            del node[key]
            return True
        node = node[key]
    return False


def load_config(path: str | Path) -> Config:
    """Reads a YAML config file; an empty file gives the defaults.

    The files of weights in `feature_extractor` may be relative to the file's folder.
    """
    config = build_config(read_yaml(path), str(path))
    folder, changes = Path(path).parent, {}
    if (checkpoint := folder / (config.feature_extractor.checkpoint or "")).is_file():
        changes["checkpoint"] = str(checkpoint)
    if (weights := config.feature_extractor.weights_path) and (folder / weights).exists():
        changes["pretrained"] = str(folder / weights)
    if not changes:
        return config
    extractor = config.feature_extractor.model_copy(update=changes)
    return config.model_copy(update={"feature_extractor": extractor})


def to_dict(config: Config) -> dict:
    """Plain YAML types only (str, int, float, bool, None, list, dict)."""
    return config.model_dump(mode="json")


def to_yaml(config: Config) -> str:
    """YAML from which `load_config` restores an equal config."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def dataset_paths(config: Config) -> list[str]:
    """The dataset folders of a config, as they were given; none before a default is chosen."""
    folders = config.general_parameters.data_path or ()
    return [folder if isinstance(folder, str) else folder.path for folder in folders]


def dataset_folders(config: Config) -> list[Path]:
    """Like `dataset_paths`, as paths."""
    return [Path(path) for path in dataset_paths(config)]


def frame_patterns(config: Config) -> list[str]:
    """The patterns of the file names of frames that a config gives, for all datasets or single ones."""
    general = config.general_parameters
    own = [folder.frame_pattern for folder in general.data_path or () if isinstance(folder, DataFolder)]
    return [pattern for pattern in dict.fromkeys([general.frame_pattern, *own]) if pattern is not None]
