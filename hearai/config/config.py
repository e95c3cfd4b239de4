"""The typed config: the published YAML sections and names, read strictly, frozen, written back as YAML.

A YAML file is a diff over the defaults in `sections.py`. Unknown keys, wrong types and impossible values end in one
`ConfigError` that lists every problem with its dotted path. Keys of older pipeline files are aliases.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError, model_validator

from hearai.config.schema import (
    AugmentationsParameters,
    FeatureExtractor,
    FreezeScheduler,
    GeneralParameters,
    HeadParameters,
    Heads,
    TrainParameters,
    Transformer,
)
from hearai.config.validation import Section, explain
from hearai.config.yaml_io import read_yaml
from hearai.errors import ConfigError, choices

LANDMARK_EXTRACTOR, CLIP_EXTRACTOR = "gcn_extractor", "video_resnet"
"""The extractors that read something else than single pictures."""
WITH_ATTENTION_HEADS = ("sign_language_transformer", "sign_language_cnn_transformer", "hubert_transformer")
"""Names of transformers that split the width among attention heads."""


class Config(Section):
    """One run, completely described."""

    general_parameters: GeneralParameters = GeneralParameters()
    augmentations_parameters: AugmentationsParameters = AugmentationsParameters()
    train_parameters: TrainParameters = TrainParameters()
    feature_extractor: FeatureExtractor = FeatureExtractor()
    transformer: Transformer = Transformer()
    heads: Heads = Heads()
    freeze_scheduler: FreezeScheduler = FreezeScheduler()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "Config":
        problems = [*self._head_problems(), *self._input_problems(), *self._transformer_problems()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _head_problems(self) -> list[str]:
        mode = self.train_parameters.classification_mode
        if mode not in self.heads.groups:
            return [f"train_parameters.classification_mode: unknown {mode!r}; {choices(mode, self.heads.groups)}"]
        if not any(head.loss_weight for head in self.active_heads.values()):
            return [f"heads.{mode}: every loss_weight is 0, so nothing is trained; give one a weight above 0"]
        return self._objective_problems()

    def _objective_problems(self) -> list[str]:
        named, where = self.train_parameters.objective_heads, "train_parameters.objective_heads"
        unknown = [head for head in named if head not in self.active_heads]
        twice = [head for head in dict.fromkeys(named) if named.count(head) > 1]
        return [
            *(f"{where}: unknown {head!r}; {choices(head, self.active_heads)}" for head in unknown),
            *(f"{where}: {head!r} is named twice; once is enough" for head in twice),
        ]

    def _input_problems(self) -> list[str]:
        aug, problems = self.augmentations_parameters, []
        if aug.apply_resize and aug.apply_center_crop and aug.center_crop_size > aug.resize_size:
            problems.append(
                f"augmentations_parameters.center_crop_size: {aug.center_crop_size} is larger than "
                f"resize_size {aug.resize_size}; at most {aug.resize_size} is allowed"
            )
        return problems + self._reader_problems()

    def _reader_problems(self) -> list[str]:
        train, name = self.train_parameters, self.feature_extractor.name
        if not train.frames and not train.landmarks:
            return ["train_parameters: frames and landmarks are both false; the model needs one of them"]
        if name == LANDMARK_EXTRACTOR and (train.frames or not train.landmarks):
            return [
                f"feature_extractor.name: {name} reads landmarks alone; set train_parameters.landmarks: true and "
                "frames: false (for both inputs give an extractor of pictures: the landmarks get one of their own)"
            ]
        if name == LANDMARK_EXTRACTOR and self.feature_extractor.pretrained is True:
            return [f"feature_extractor.pretrained: true, but nobody publishes weights of {name}; give auto or false"]
        if name != LANDMARK_EXTRACTOR and not train.frames:
            return [
                f"train_parameters.frames: false, but {name} reads pictures; set feature_extractor.name: "
                f"{LANDMARK_EXTRACTOR}, or frames: true"
            ]
        if train.pre_training and name == CLIP_EXTRACTOR:
            return [
                f"train_parameters.pre_training: it shows single frames, and {name} looks at whole clips; leave it "
                "out and let the backbone train (freeze_scheduler)"
            ]
        return []

    def _transformer_problems(self) -> list[str]:
        transformer, width = self.transformer, self.feature_extractor.representation_size
        problems = []
        if transformer.name in WITH_ATTENTION_HEADS and width % transformer.num_attention_heads:
            problems.append(
                f"transformer.num_attention_heads: {transformer.num_attention_heads} does not divide "
                f"feature_extractor.representation_size {width}; give a divisor"
            )
        if transformer.name == "fake_transformer" and transformer.pooling != "mean":
            problems.append(
                f"transformer.pooling: got {transformer.pooling!r}, but fake_transformer is the mean of the frames; "
                "give mean, or another transformer.name"
            )
        return problems

    @property
    def active_heads(self) -> dict[str, HeadParameters]:
        """{head: parameters} of the classification mode."""
        return self.heads.groups[self.train_parameters.classification_mode]


def build_config(raw: Mapping, where: str = "config") -> Config:
    """The config a raw mapping describes.

    Raises:
        ConfigError: every problem, as `where: dotted.path: what was given; what is allowed`.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([f"{where}: {problem}" for problem in explain(error, Config)]) from None


def load_config(path: str | Path) -> Config:
    """Reads a YAML config file; an empty file gives the defaults. A backbone that lies beside it is found there."""
    config = build_config(read_yaml(path), str(path))
    background = Path(path).parent / (config.feature_extractor.checkpoint or "")
    if not background.is_file():
        return config
    extractor = config.feature_extractor.model_copy(update={"checkpoint": str(background)})
    return config.model_copy(update={"feature_extractor": extractor})


def to_dict(config: Config) -> dict:
    """Plain YAML types only (str, int, float, bool, None, list, dict)."""
    return config.model_dump(mode="json")


def to_yaml(config: Config) -> str:
    """YAML that `load_config` reads back to an equal config."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)
