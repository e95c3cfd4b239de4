"""What the functions of the API have in common: how they begin, and arguments that several take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hearai.config.model_parts.code_folder import use_code
from hearai.errors import ConfigError

Paths = str | Path | Sequence[str | Path] | None


def begin(code: str | Path | None = None) -> None:
    """What begins a command in a process that may have run others: files of datasets and code may have changed."""
    from hearai.data.annotations.load import forget_data  # numpy

    use_code(code)
    forget_data()


def check_positive(name: str, value: Any) -> None:
    """Raises ConfigError if the argument of this name is no integer of at least 1."""
    if not (isinstance(value, int) and value > 0):
        raise ConfigError(f"{name}: got {value!r}; must be an integer of at least 1")


def paths_of(paths: Paths) -> list[str]:
    """One path or several as a list; None = none."""
    if paths is None:
        return []
    return [str(paths)] if isinstance(paths, str | Path) else [str(path) for path in paths]
