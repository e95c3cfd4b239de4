"""Whether the run in a folder may be resumed with a config: the run must stay the one that it was.

With another split, clips that were trained on would be validated on; with another learning rate or optimizer, no
config would describe the run.
"""

import logging
from pathlib import Path
from typing import Any

import yaml

from hearai.config.config import Config, build_config, load_config, to_dict
from hearai.config.model_parts.code_folder import note_code
from hearai.config.model_schema import path_of_weights
from hearai.config.overrides import leaves, override
from hearai.data.annotations.consistency import changed_names
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.load import Data
from hearai.errors import ConfigError
from hearai.training.outputs.layout import CONFIG_FILE, LAST, holds_checkpoint
from hearai.training.outputs.saved_state import LastContent, load_last

log = logging.getLogger(__name__)

FREE = (
    "general_parameters.gpu",
    "general_parameters.workers",
    "general_parameters.frame_cache_gb",
    "general_parameters.path_to_save",
    "general_parameters.neptune",
    "general_parameters.mlflow",
    "general_parameters.measure_speed",
    "train_parameters.gradient_accumulation",
    "train_parameters.compile",
    "freeze_scheduler.verbose",
)
"""Options that may change when a run is resumed: where it runs and what is logged, not what is trained."""
LENGTH = ("train_parameters.epochs", "train_parameters.stop_after_epoch")
"""May change to any number that is not below the finished epochs."""
DATASET = ("general_parameters.data_path", "general_parameters.annotation_file")
"""Compared by the content of the dataset where the checkpoint knows it: the folder may have moved."""
CONTENT = ("train_parameters.classification_mode", "train_parameters.frames", "train_parameters.landmarks", "heads.")
"""Where these differ, the content that is read differs with them."""


def stored_run(folder: Path) -> tuple[Config, LastContent] | None:
    """The config and the checkpoint of the run in a folder that can be resumed; None = there is no such run.

    The config is that in the checkpoint: its file may have been edited since. Checkpoints of older code have none.

    Raises:
        ConfigError: the checkpoint is unusable, or the config is missing or invalid.
    """
    if not holds_checkpoint(folder / LAST):
        return None
    last = load_last(folder / LAST)[1]
    if last.config is None:
        return load_config(folder / CONFIG_FILE), last
    return build_config(last.config, f"{folder / LAST}: config"), last


def with_unstated_values(config: Config, stored: Config) -> Config:
    """The config with what it leaves open decided as in the stored one: published weights, and what is frozen."""
    values: dict[str, Any] = {}
    if config.feature_extractor.pretrained == "auto" and config.feature_extractor.checkpoint is None:
        values["feature_extractor.pretrained"] = stored.feature_extractor.pretrained
    if not config.states_frozen_parts:
        values["freeze_scheduler.model_params"] = to_dict(stored)["freeze_scheduler"]["model_params"]
    return override(config, values)


def check_same_run(config: Config, data: Data, stored: Config, last: LastContent, folder: Path) -> None:
    """Refuses to resume a run with anything else than its own config and dataset.

    Args:
        config: the one to resume with; its weights have been resolved, see `prepare.with_weights`.
        stored, last: what `stored_run` has found in the folder.

    Raises:
        ConfigError: lists every difference.
    """
    before, now = dict(leaves(to_dict(stored))), dict(leaves(to_dict(config)))
    known = last.fingerprints
    # Augmentation is drawn from the names of clips and folders: in a renamed one it would be another run.
    same_data = is_same_dataset(known, data.fingerprints.as_dict(), renamed=False) if known else None
    changed = {
        path: f"was {_format(before, path)}, is {_format(now, path)}"
        for path in dict.fromkeys([*before, *now])
        if before.get(path) != now.get(path) and not _may_change(path, before, now, same_data)
    }
    lines = [f"{path}: {change}" for path, change in changed.items()]
    lines += _shortened_run(config, last)
    if same_data is False and not any(path.startswith(CONTENT) for path in changed):
        is_renamed = is_same_dataset(known, data.fingerprints.as_dict())
        change = "its folder was renamed" if is_renamed else "files or labels were changed, added or removed"
        lines.append(f"the dataset: {change}")
        lines += [
            f"{path}: was {_format(before, path)}, is {_format(now, path)}" for path in _changed_folders(before, now)
        ]
    if last.class_names is not None:
        lines += changed_names(last.class_names, data.class_names, data.clips)
    if lines:
        raise ConfigError(
            [
                f"{folder}: holds a run of another config or dataset; undo the changes to resume it, or give another "
                "general_parameters.path_to_save. Changes:",
                *(f"  {line}" for line in lines),
            ]
        )
    if last.code:
        note_code(last.code.model_dump(), folder)
    log.info("resuming %s after epoch %d", folder, last.progress.epoch)


def _may_change(path: str, before: dict[str, Any], now: dict[str, Any], same_data: bool | None) -> bool:
    if path in DATASET:
        return same_data is not None  # then the content decides
    if path == "feature_extractor.checkpoint":  # the file may have moved; a checkpoint knows whether it is the same
        return None not in (before.get(path), now.get(path))
    if path == "feature_extractor.pretrained" and all(path_of_weights(tree.get(path)) for tree in (before, now)):
        return True  # weights_sha256 says whether they are the same
    return path in (*FREE, *LENGTH)


def _changed_folders(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [path for path in DATASET if before.get(path) != now.get(path)]


def _shortened_run(config: Config, last: LastContent) -> list[str]:
    done, train = last.progress.epoch, config.train_parameters
    values = {LENGTH[0]: train.epochs, LENGTH[1]: train.stop_after_epoch}
    return [
        f"{path}: {value}, but {done} epochs are finished; give at least {done}"
        for path, value in values.items()
        if value is not None and value < done
    ]


def _format(tree: dict[str, Any], path: str) -> str:
    """A value as one line of YAML."""
    return yaml.safe_dump(tree[path], default_flow_style=True).splitlines()[0] if path in tree else "not set"
