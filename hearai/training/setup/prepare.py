"""Decisions made once, before any run: which data, which initial weights.

A search makes them in its driver and writes them into the study, so that they are the same for every trial and node;
`train.py` makes them for its one run.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from hearai.config.config import Config, to_dict
from hearai.config.overrides import override
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.consistency import class_number_notes
from hearai.data.annotations.load import Data, load_data
from hearai.data.demo import DEMO_CLIPS, demo_dataset
from hearai.data.frame_sampling import sampling_notes
from hearai.data.frames import check_images
from hearai.data.landmarks.clip_points import check_all_landmarks
from hearai.data.landmarks.face import missing_face_notes
from hearai.errors import ConfigError, DataError
from hearai.metrics import TOP, has_meaning
from hearai.models.feature_extractors import build_extractor, network_of_path, weight_source
from hearai.models.pretrained.local import Taken
from hearai.models.pretrained.published import resolve_pretrained
from hearai.sign.hamnosys import MISSING
from hearai.training.features.feature_cache import BACKBONE_MODULE
from hearai.training.outputs.layout import BACKBONE_FILE
from hearai.training.setup.starting_weights import load_starting_weights, travels

log = logging.getLogger(__name__)


def with_data(
    config: Config, demo_clips: int | None = None, demo_landmarks: Literal["exact", "detected"] = "exact"
) -> tuple[Config, Data]:
    """The config with absolute dataset folders (the demo data if none is given), and its clips, all files checked.

    Absolute, because Tune gives each actor a different working directory.

    Raises:
        DataError: every problem of the folders, or a head of the objective without labels in a split that scores it.
    """
    folders = to_dict(config)["general_parameters"]["data_path"]
    if folders is None:
        folder = demo_dataset(clips=demo_clips or DEMO_CLIPS, landmarks=demo_landmarks)
        folders = [str(folder)]
        log.info("demo data: %s", folders[0])
    config = override(config, {"general_parameters.data_path": [_absolute(folder) for folder in folders]})
    data = load_data(config)
    check_objective(config, data)
    check_files(config, data.clips)
    train = config.train_parameters
    for note in sampling_notes(data.clips, num_segments=train.num_segments, time=train.time):
        log.info("%s", note)
    for note in class_number_notes(data.clips, data.num_class):
        log.info("%s", note)
    if config.feature_extractor.reads_face:
        warn_of_missing_faces(data.clips)
    return config, data


def check_files(config: Config, clips: Sequence[Clip]) -> None:
    """Checks every image and landmark file that a model of this config reads.

    Raises:
        DataError: every broken file.
    """
    if config.train_parameters.frames:
        check_images(clips)
    if config.train_parameters.landmarks:
        check_all_landmarks(clips)


def warn_of_missing_faces(clips: Iterable[Clip]) -> None:
    """Logs how many clips lack the face mesh that a model reads; it counts as unknown, which is no error."""
    for note in missing_face_notes(clips):
        log.warning("%s", note)


def _absolute(folder: str | dict) -> str | dict:
    if isinstance(folder, dict):
        return {**folder, "path": _absolute(folder["path"])}
    return str(Path(folder).expanduser().absolute())


def with_weights(config: Config, *, pretraining_follows: bool = False) -> Config:
    """The config with `pretrained` resolved to true, false or a checked path, and what is frozen by default.

    A backbone at random weights is frozen only where the config says so.

    Raises:
        ConfigError: the weights are required but not available, do not fit, or the checkpoint file is missing.
    """
    extractor = config.feature_extractor
    if extractor.checkpoint and not Path(extractor.checkpoint).is_file():
        raise ConfigError(
            f"feature_extractor.checkpoint: no file {extractor.checkpoint!r}; give a {BACKBONE_FILE} written by "
            "pre-training, or omit it"
        )
    if network := network_of_path(extractor):
        config = override(config, {"feature_extractor.network": network})
    elif "network" in extractor.spec.options and extractor.checkpoint is None:
        build_extractor(extractor, pretrained=False)  # shows values that fit no network
    if taken := load_starting_weights(config):
        log.info("%s", taken.summary)
    if extractor.checkpoint:
        return _with_extractor(config, taken, checkpoint=str(Path(extractor.checkpoint).absolute()), pretrained=False)
    if extractor.weights_path:
        path = str(Path(extractor.weights_path).expanduser().absolute())
        return _with_extractor(config, taken, pretrained=path)
    source = weight_source(extractor)
    has_weights = resolve_pretrained(source, extractor.pretrained)
    frozen = config.freeze_scheduler.model_params.get(BACKBONE_MODULE, (False,))[0]
    config = override(config, {"feature_extractor.pretrained": has_weights})
    if has_weights or not frozen or pretraining_follows:
        return config
    if config.states_frozen_parts:
        log.warning("the backbone is frozen at random weights; pre-train it (pre_training, or pretrain: auto)")
        return config
    log.warning(
        "the backbone has no pretrained weights, so it is trained instead of frozen; to freeze it, pre-train it "
        "(pre_training, or pretrain: auto) or set freeze_scheduler.model_params"
    )
    return override(config, {"freeze_scheduler.model_params": {}})


def _with_extractor(config: Config, taken: Taken | None, **values: str | bool) -> Config:
    """The config with these values in `feature_extractor`, and the SHA-256 of what was taken from a file."""
    sha256 = {"weights_sha256": taken.sha256} if taken else {}
    return override(config, {f"feature_extractor.{key}": value for key, value in {**values, **sha256}.items()})


def wants_pretraining(config: Config, setting: Pretrain | str | None) -> Pretrain | None:
    """The settings of a study's pre-training; None where it is off or, with `auto`, not needed or not possible.

    Raises:
        ConfigError: it is requested for an extractor that reads complete clips.
    """
    extractor = config.feature_extractor
    if setting is not None and not extractor.spec.per_frame:
        if setting == "auto":
            return None
        raise ConfigError(
            f"pretrain: it trains on single frames, but {extractor.name} reads complete clips; set pretrain: false and "
            "train the backbone in the run (freeze_scheduler)"
        )
    if isinstance(setting, Pretrain) and travels(config):
        source = extractor.checkpoint or extractor.pretrained
        raise ConfigError(
            f"pretrain: on, but the extractor starts with the weights of {source}; set pretrain: false or auto"
        )
    if setting != "auto":
        return setting if isinstance(setting, Pretrain) else None
    return None if extractor.pretrained or extractor.checkpoint else Pretrain()


def check_objective(config: Config, data: Data) -> None:
    """Checks that every head of `train_parameters.objective_heads` can be scored on validation and on test clips.

    Raises:
        DataError: the heads for which no clip of a split has a label, or too few classes for the score.
    """
    parts = {"validation": data.split.val, "test": data.split.test}
    problems = [
        f"train_parameters.objective_heads: no {part} clip has a label of {head!r}; choose heads with labels, "
        f"or another general_parameters.split_seed"
        for head in config.train_parameters.objective_heads
        for part, clips in parts.items()
        if clips and all(clip.labels[head] == MISSING for clip in clips)
    ]
    problems += [*_unlabelled_parts(config, data), *_meaningless_scores(config, data)]
    if problems:
        raise DataError(problems)


def _unlabelled_parts(config: Config, data: Data) -> list[str]:
    """Groups of heads that no training clip has a label of; and validation clips without any label."""
    path, groups = "train_parameters.classification_mode", config.train_parameters.head_groups
    problems = [
        f"{path}: no training clip has a label of {group!r}; add labels, or give another group of heads"
        for group in groups
        if not any(clip.labels[head] != MISSING for clip in data.split.train for head in config.heads.groups[group])
    ]
    if not any(label != MISSING for clip in data.split.val for label in clip.labels.values()):
        problems.append(
            f"{path}: no validation clip has a label of {' or '.join(map(repr, groups))}, so that no epoch could be "
            "chosen; add labels, or give another general_parameters.split_seed"
        )
    return problems


def _meaningless_scores(config: Config, data: Data) -> list[str]:
    """Heads with at most k classes, whose top-k is always 1; heads without labels are not scored."""
    score, named = config.train_parameters.objective_metric, config.train_parameters.objective_heads
    heads = [head for head in named or data.num_class if any(clip.labels[head] != MISSING for clip in data.clips)]
    return [
        f"train_parameters.objective_metric: {score}, but {head!r} has {data.num_class[head]} classes, so that any "
        f"prediction scores 1; choose a smaller top-k, macro_f1 or mrr, or name heads with more than {TOP[score]} "
        "classes in train_parameters.objective_heads"
        for head in heads
        if not has_meaning(score, data.num_class[head])
    ]
