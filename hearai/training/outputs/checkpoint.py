"""State of a run <-> folder. A folder holds either the whole state or the one before, never half of one."""

import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hearai.errors import ConfigError
from hearai.files import replacing
from hearai.training.outputs.layout import BEST, LAST, STATE

UNREADABLE = (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError)
"""What torch raises over a file that is no checkpoint, is cut off, or holds more than tensors and plain values."""


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> Path:
    """Writes `state` (tensors and plain values only) into `folder`, replacing what is there in one move.

    Raises:
        DiskFull: there is no room; what was there before is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / STATE) as temporary:
        try:
            with temporary.open("wb") as file:  # given a path, torch forgets why it could not write
                torch.save(dict(state), file)
        except RuntimeError as error:  # and given a file, it stumbles over its own end after that
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
    return folder


def copy_checkpoint(source: Path, target: Path) -> None:
    """The state saved in the folder `source` in place of that in `target`, in one move.

    Raises:
        DiskFull: there is no room; what was there before is whole.
    """
    target.mkdir(parents=True, exist_ok=True)
    with replacing(target / STATE) as temporary:
        shutil.copyfile(source / STATE, temporary)


def load_checkpoint(folder: str | Path) -> dict[str, Any]:
    """The state saved in `folder`, its tensors on the CPU. Only tensors and plain values are unpickled.

    Raises:
        ConfigError: there is no checkpoint, or it cannot be read.
    """
    path = Path(folder) / STATE
    if not path.is_file():
        raise ConfigError(f"{folder}: holds no checkpoint ({STATE}); give a `{BEST}` or `{LAST}` folder of a run")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}")
        return state
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{path}: cannot be read as a checkpoint ({reason})") from None
