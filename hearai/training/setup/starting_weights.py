"""Weights made elsewhere: those of a path (`pretrained`), and extractor and encoder of another run (`--from`).

They are loaded once before anything starts, to report what is taken; a study keeps a copy that travels to its nodes.
"""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from hearai.config.config import Config, build_config, to_dict
from hearai.config.overrides import override
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.load import Data, load_data
from hearai.data.annotations.split import PART_NAMES
from hearai.errors import ConfigError, UserError
from hearai.files import atomic_write, sha256_of
from hearai.models.feature_extractors import backbone_name, build_extractor, load_local
from hearai.models.model import build_model, read_start, stated_sha256
from hearai.models.pretrained.clip_table import TRAINED_CLIPS, no_clips, stated_clips, stating
from hearai.models.pretrained.local import Taken, read_weights
from hearai.models.pretrained.transfer import is_run
from hearai.training.outputs.checkpoint import save_tensors
from hearai.training.outputs.trained_clips import are_trained, trained_clips

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


def clips_seen_before(config: Config, folds: Sequence[Data]) -> dict[str, int] | None:
    """{val, test: clips that the weights with which a model starts were trained on}, with a warning if there are any.

    Splits balance the classes, so that the same clips with other labels are split in another way.

    Args:
        config: with resolved weights.
        folds: the data in each of the splits that are used; the largest number counts.

    Returns:
        None if the model does not start with weights of ours, or these do not state their clips.
    """
    known = _start_clips(config)
    if known is None:
        return None
    file, clips_N2 = known
    if clips_N2 is None:
        log.info(
            "%s: does not state which clips its weights were trained on; they should not validate or test this run",
            file,
        )
        return None
    seen, found = {}, []
    for part in ("val", "test"):
        clips = [getattr(data.split, part) for data in folds]
        counts = [sum(are_trained(one, data.fingerprints, clips_N2)) for one, data in zip(clips, folds, strict=True)]
        seen[part] = max(counts)
        if seen[part]:
            found.append(f"{seen[part]} of the {len(clips[counts.index(seen[part])])} {PART_NAMES[part]} clips")
    if found:
        of_fold, alone = (" of a fold", " without --splits") if len(folds) > 1 else ("", "")
        log.warning(
            "the weights in %s were trained on %s%s: scores on them are too high; give the dataset a splits.csv, by "
            "which both are split%s, and train these weights again",
            file,
            " and ".join(found),
            of_fold,
            alone,
        )
    return seen


def _start_clips(config: Config) -> tuple[Path, Tensor | None] | None:
    """The file of ours with which a model starts, and the clips that its weights were trained on, if it states them."""
    extractor = config.feature_extractor
    if extractor.checkpoint is not None:
        file = Path(extractor.checkpoint)
        content = read_start(file, f"feature_extractor.checkpoint: {file}")
        clips_N2 = stated_clips(content) if TRAINED_CLIPS in content else _split_again(content, file)
    elif extractor.weights_path is not None:
        weights = read_weights(extractor.weights_path, "feature_extractor.pretrained")
        file, clips_N2 = weights.path, weights.clips_N2
    else:
        return None
    is_of_others = clips_N2 is not None and not len(clips_N2)
    return None if is_of_others else (file, clips_N2)


def _split_again(content: Mapping[str, Any], file: Path) -> Tensor | None:
    """The training clips of a run of an older version, if its dataset is where it was, and unchanged."""
    if not is_run(content):
        return None
    config = build_config(content["config"], f"{file}: config")
    if config.feature_extractor.weights_sha256 is not None:  # it started with weights whose clips are not known
        return None
    log.info("%s: does not state its clips; its dataset is split again:", file)
    try:
        data = load_data(config)
    except UserError:
        return None
    return trained_clips(data, no_clips()) if is_same_dataset(content, data.fingerprints.as_dict()) else None


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


def with_kept_weights(config: Config, copy: Path) -> Config:
    """The config, which reads the copy in its study where the weights of its path are gone; see `write_copy`."""
    path = config.feature_extractor.weights_path
    place = Path(os.path.abspath(os.path.expanduser(path or "")))
    if path is None or os.path.exists(place) or not copy.is_file():
        return config
    try:
        saved = read_start(copy, str(copy))
    except ConfigError:  # it is damaged; that the weights are gone is what the user must know
        return config
    if is_run(saved) or not Path(str(saved.get("source"))).is_relative_to(place):
        return config
    log.warning("feature_extractor.pretrained: %s is gone: the study continues with its own copy of the weights", path)
    config = override(config, {"feature_extractor.network": saved.get("network", {})})
    return with_copy(config, copy)


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
        content |= {"source": str(taken.path), "sha256": taken.sha256, "not_taken": list(taken.left)}
        content["network"] = to_dict(config)["feature_extractor"]["network"]
        save_tensors(copy, content | stating(taken.clips_N2))


def _sha256_of_copy(copy: Path) -> str | None:
    """That of the weights in a copy; None if it is damaged."""
    try:
        saved = read_start(copy, str(copy))
    except ConfigError:
        return None
    return sha256_of(copy) if is_run(saved) else stated_sha256(saved)
