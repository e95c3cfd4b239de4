"""Saves and loads the state of a run. A folder holds the new state or the previous one, never a partial one."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hearai.errors import ConfigError, load_failure
from hearai.files import atomic_write
from hearai.models.weights import UNREADABLE, read_tensors
from hearai.training.outputs.layout import BEST, LAST, STATE


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> Path:
    """Writes `state` (tensors and plain values only) into `folder`, atomically replacing the previous state.

    Raises:
        DiskFull: no space left; the previous state is intact.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / STATE, state)
    return folder


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Writes tensors and plain values into a file, atomically replacing the previous one.

    Raises:
        DiskFull: no space left; the previous file is intact.
    """
    with atomic_write(path) as temporary:
        try:
            with temporary.open("wb") as file:  # given a path, torch hides why it could not write
                torch.save(dict(content), file)
        except RuntimeError as error:  # given a file, it fails again while closing, after the actual error
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def copy_checkpoint(source: Path, target: Path) -> None:
    """Atomically replaces the state in `target` by the one in `source`.

    Raises:
        DiskFull: no space left; the previous state is intact.
    """
    target.mkdir(parents=True, exist_ok=True)
    with atomic_write(target / STATE) as temporary:
        shutil.copyfile(source / STATE, temporary)


def is_same_model(first: Path, second: Path) -> bool:
    """Whether two `best` folders hold equal weights of the same epoch; what else they hold may differ.

    Raises:
        ConfigError: the first is not a checkpoint, or unreadable; the second may be.
    """
    one = load_checkpoint(first)
    try:
        other = load_checkpoint(second)
        weights, known = one["model"], other["model"]
        is_same = weights.keys() == known.keys() and (one["config"], one["epoch"]) == (other["config"], other["epoch"])
        return is_same and all(torch.equal(weights[name], known[name]) for name in weights)
    except (ConfigError, KeyError, AttributeError, TypeError):
        return False


def load_checkpoint(folder: str | Path) -> dict[str, Any]:
    """The state saved in `folder`, its tensors on the CPU. Only tensors and plain values are unpickled.

    Raises:
        ConfigError: no checkpoint, or an unreadable one.
    """
    path = Path(folder) / STATE
    if not path.is_file():
        raise ConfigError(f"{folder}: holds no checkpoint ({STATE}); give a `{BEST}` or `{LAST}` folder of a run")
    try:
        state = read_tensors(path)
        if not isinstance(state, dict):
            raise ValueError(f"it contains a {type(state).__name__}")
        return state
    except UNREADABLE as error:
        raise ConfigError(f"{path}: cannot be read as a checkpoint ({load_failure(error)})") from None
