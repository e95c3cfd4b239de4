"""What is decided once, before any run: which data, which starting weights.

A search does this in its driver and writes the outcome into the study, so that every trial and node has the
same; `train.py` does it for its one run.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from hearai.config.config import Config, to_dict
from hearai.config.overrides import override
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data, load_data
from hearai.data.demo import demo_dataset
from hearai.data.frame_sampling import sampling_notes
from hearai.data.frames import check_images
from hearai.data.landmarks import check_all_landmarks
from hearai.errors import ConfigError, DataError
from hearai.models.feature_extractors import kind_of
from hearai.models.pretrained import resolve_pretrained
from hearai.sign.hamnosys import MISSING
from hearai.training.outputs.layout import BACKBONE_FILE

log = logging.getLogger(__name__)


def with_data(config: Config, demo_clips: int | None = None) -> tuple[Config, Data]:
    """The config with absolute dataset folders (the demo data where none is named), and its clips, all files checked.

    Absolute, because trials run elsewhere: Tune gives each actor a working directory of its own.

    Raises:
        DataError: every problem of the folders, or a head of the objective has no labels where it is scored.
    """
    folders = to_dict(config)["general_parameters"]["data_path"]
    if folders is None:
        folders = [str(demo_dataset(**({"clips": demo_clips} if demo_clips else {})))]
        log.info("demo data: %s", folders[0])
    config = override(config, {"general_parameters.data_path": [_absolute(folder) for folder in folders]})
    data = load_data(config)
    check_objective(config, data)
    check_files(config, data.clips)
    train = config.train_parameters
    for note in sampling_notes(data.clips, num_segments=train.num_segments, time=train.time):
        log.info("%s", note)
    return config, data


def check_files(config: Config, clips: Sequence[Clip]) -> None:
    """Looks at every picture and landmark file that a model of this config reads.

    Raises:
        DataError: every one that is broken.
    """
    if config.train_parameters.frames:
        check_images(clips)
    if config.train_parameters.landmarks:
        check_all_landmarks(clips)


def _absolute(folder: str | dict) -> str | dict:
    if isinstance(folder, dict):
        return {**folder, "path": _absolute(folder["path"])}
    return str(Path(folder).expanduser().absolute())


def with_weights(config: Config, *, pretraining_follows: bool = False) -> Config:
    """The config with `pretrained` decided: true or false.

    Raises:
        ConfigError: the weights are asked for and cannot be had, or the checkpoint file is missing.
    """
    extractor = config.feature_extractor
    if extractor.checkpoint and not Path(extractor.checkpoint).is_file():
        raise ConfigError(
            f"feature_extractor.checkpoint: no file {extractor.checkpoint!r}; give a {BACKBONE_FILE} that "
            "pre-training wrote, or leave it out"
        )
    if extractor.checkpoint:
        absolute = str(Path(extractor.checkpoint).absolute())
        return override(config, {"feature_extractor.checkpoint": absolute, "feature_extractor.pretrained": False})
    source = kind_of(extractor).weights(extractor.model_path)
    has_weights = resolve_pretrained(source, extractor.pretrained)
    frozen = config.freeze_scheduler.model_params.get("feature_extractor.backbone", (False,))[0]
    if not has_weights and frozen and not pretraining_follows:
        log.warning("the extractor is frozen at random weights; pre-train it (pre_training, or pretrain: auto)")
    return override(config, {"feature_extractor.pretrained": has_weights})


def wants_pretraining(config: Config, setting: Pretrain | str | None) -> Pretrain | None:
    """The settings of a study's pre-training; None where it is off or, with `auto`, not needed or not possible.

    Raises:
        ConfigError: it is asked for, and the extractor looks at whole clips.
    """
    extractor = config.feature_extractor
    if setting is not None and not kind_of(extractor).per_frame:
        if setting == "auto":
            return None
        raise ConfigError(
            f"pretrain: it shows single frames, and {extractor.name} looks at whole clips; set pretrain: false and "
            "let the backbone train (freeze_scheduler)"
        )
    if setting != "auto":
        return setting if isinstance(setting, Pretrain) else None
    return None if extractor.pretrained or extractor.checkpoint else Pretrain()


def check_objective(config: Config, data: Data) -> None:
    """Looks whether every head of `train_parameters.objective_heads` can be scored: on validation and on test.

    Raises:
        DataError: the heads that no clip of a split has a label of.
    """
    parts = {"validation": data.split.val, "test": data.split.test}
    problems = [
        f"train_parameters.objective_heads: no {part} clip has a label of {head!r}; name heads that "
        f"have some, or give another general_parameters.split_seed"
        for head in config.train_parameters.objective_heads
        for part, clips in parts.items()
        if clips and all(clip.labels[head] == MISSING for clip in clips)
    ]
    if problems:
        raise DataError(problems)
