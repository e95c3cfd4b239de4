"""Weights made elsewhere: those of a path (`pretrained`), and extractor and encoder of another run (`--from`).

They are loaded once before anything starts, to report what is taken; a study keeps a copy that travels to its nodes.
"""

import logging
import shutil
from pathlib import Path

from hearai.config.config import Config, build_config
from hearai.config.model_schema import FeatureExtractorParameters
from hearai.config.overrides import override
from hearai.data.annotations.load import Data, load_data
from hearai.data.annotations.split import PART_NAMES
from hearai.errors import ConfigError, UserError
from hearai.files import atomic_write, sha256_of
from hearai.models.feature_extractors import backbone_name, build_extractor, load_local
from hearai.models.model import build_model, read_start, stated_sha256
from hearai.models.pretrained.local import Taken, find_file
from hearai.models.pretrained.transfer import is_run
from hearai.training.outputs.checkpoint import save_tensors
from hearai.training.outputs.layout import STATE

log = logging.getLogger(__name__)

CHECKED_CLASSES = {"gloss": 2}
"""Classes of the model that only shows whether the weights fit: those of the heads are never taken."""


def load_starting_weights(config: Config) -> Taken | None:
    """What a model of this config takes from a path or from another run; None if it starts in another way.

    Raises:
        ConfigError: the weights are not there, are those of another network, or have another SHA-256 than the config
            states.
    """
    extractor = config.feature_extractor
    if extractor.checkpoint is None and extractor.weights_path is None:
        if extractor.weights_sha256 is None:
            return None
        raise ConfigError(
            "feature_extractor.weights_sha256: given without weights; remove it, or give their path in "
            "feature_extractor.pretrained"
        )
    taken = build_model(config, CHECKED_CLASSES, pretrained=True).start
    found = taken.sha256 if taken else _sha256_if_stated(config)
    if extractor.weights_sha256 not in (None, found):
        raise ConfigError(
            f"feature_extractor.weights_sha256: {extractor.weights_sha256}, but "
            f"{extractor.checkpoint or extractor.weights_path} has {found}; give the weights of the former, or remove "
            "weights_sha256"
        )
    return taken


def clips_seen_before(config: Config, data: Data) -> dict[str, int] | None:
    """{val, test: clips that the run with which a model starts was trained on}, with a warning if there are any.

    Splits balance the classes, so that the same clips with other labels are split in another way.

    Args:
        config: with resolved weights.

    Returns:
        None if the model does not start with another run, or which clips that has seen is not known.
    """
    file = _file_of_run(config.feature_extractor)
    if file is None or not is_run(read_start(file, str(file))):
        return None
    try:
        log.info("comparing the split with that of the run in %s", file)
        trained = _trained_clips(file)
    except UserError as error:
        log.info(
            "which clips it was trained on is not known (%s); they should not validate or test this run",
            error.problems[0],
        )
        return None
    parts = {"val": data.split.val, "test": data.split.test}
    seen = {part: sum(clip.key in trained for clip in clips) for part, clips in parts.items()}
    if any(seen.values()):
        counts = [f"{seen[part]} of the {len(clips)} {PART_NAMES[part]} clips" for part, clips in parts.items()]
        log.warning(
            "the run in %s was trained on %s: scores on them are too high; give the dataset a splits.csv, by which "
            "both are split, and train that run again",
            file,
            " and ".join(text for text, count in zip(counts, seen.values(), strict=True) if count),
        )
    return seen


def _trained_clips(file: Path) -> set[str]:
    """Keys of the clips on which a run was trained, and the runs that it started with.

    Raises:
        UserError: a dataset or a checkpoint is gone.
    """
    content = read_start(file, str(file))
    if not is_run(content):
        return set()
    config = build_config(content["config"], str(file))
    keys = {clip.key for clip in load_data(config).split.train}
    earlier = _file_of_run(config.feature_extractor)
    return keys | _trained_clips(earlier) if earlier else keys


def _file_of_run(extractor: FeatureExtractorParameters) -> Path | None:
    """The file that may be the checkpoint of a run, from which weights are taken."""
    if extractor.checkpoint is not None:
        return Path(extractor.checkpoint)
    file = find_file(extractor.weights_path, "feature_extractor.pretrained") if extractor.weights_path else None
    return file if file and file.name == STATE else None


def _sha256_if_stated(config: Config) -> str | None:
    """That of a pre-trained backbone, if the config states one."""
    extractor = config.feature_extractor
    return extractor.weights_sha256 and sha256_of(Path(extractor.checkpoint or ""))


def travels(config: Config) -> bool:
    """Whether a config with resolved weights starts with weights of which a study keeps a copy."""
    return config.feature_extractor.weights_sha256 is not None


def with_copy(config: Config, copy: Path) -> Config:
    """The config that reads the copy of its weights; see `write_copy`."""
    values = {"feature_extractor.checkpoint": str(copy.absolute()), "feature_extractor.pretrained": False}
    return override(config, values)


def write_copy(config: Config, copy: Path) -> None:
    """Writes the weights with which a config starts into a file, unless it has them.

    Raises:
        ConfigError: the weights are gone, or have changed.
        DiskFull: the file cannot be written.
    """
    extractor = config.feature_extractor
    if copy.is_file() and _sha256_of_copy(copy) == extractor.weights_sha256:
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    if extractor.checkpoint is not None:
        with atomic_write(copy) as temporary:
            shutil.copyfile(extractor.checkpoint, temporary)
    else:
        net = build_extractor(extractor, pretrained=False)
        taken = load_local(net, extractor)
        content = {"backbone": net.backbone.state_dict(), "model_path": backbone_name(extractor)}
        save_tensors(
            copy, {**content, "source": str(taken.path), "sha256": taken.sha256, "not_taken": list(taken.left)}
        )


def _sha256_of_copy(copy: Path) -> str | None:
    """That of the weights in a copy; None if it is damaged."""
    try:
        saved = read_start(copy, str(copy))
    except ConfigError:
        return None
    return sha256_of(copy) if is_run(saved) else stated_sha256(saved)
