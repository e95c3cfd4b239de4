"""What the functions of the API have in common: how they begin, and the checks of their arguments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hearai.config.model_parts.code_folder import use_code
from hearai.errors import ConfigError

Paths = str | Path | Sequence[str | Path] | None


def begin(code: str | Path | None) -> None:
    """What begins a command in a process that may have run others: files of datasets and code may have changed."""
    if not isinstance(code, str | Path | None):
        raise ConfigError(f"code: got {code!r:.80}; must be the path of a folder")
    use_code(code)
    read_data_again()


def read_data_again() -> None:
    """Datasets are read from their files, which may have changed since an earlier call."""
    from hearai.data.annotations.load import forget_data  # numpy

    forget_data()


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """An integer argument, also one of NumPy.

    Raises:
        ConfigError: it is none, or below `least`.
    """
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}: got {value!r:.80}; must be an integer of at least {least}")
    return value


def one_path(name: str, value: Any) -> Path:
    """A path argument.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(value, str | Path):
        raise ConfigError(f"{name}: got {value!r:.80}; must be a path: a str or a pathlib.Path")
    return Path(value)


def paths_of(name: str, paths: Any) -> list[str]:
    """An argument that is a path or several.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(paths, str | Path):
        return [str(paths)]
    if not isinstance(paths, Sequence) or not all(isinstance(path, str | Path) for path in paths):
        raise ConfigError(f"{name}: got {paths!r:.80}; must be a path (a str or a pathlib.Path) or a list of them")
    return [str(path) for path in paths]


def data_paths(name: str, paths: Paths) -> list[str]:
    """Dataset folders; none if the argument is not given.

    Raises:
        ConfigError: it is no path and no list of them, or an empty list.
    """
    if paths is None:
        return []
    if not (found := paths_of(name, paths)):
        raise ConfigError(f"{name}: got an empty list; give a dataset folder, or leave it out for those of the config")
    return found


def mapping(name: str, value: Any) -> dict[str, Any]:
    """An argument that is a mapping, in plain values; {} for None.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, Mapping | None):
        raise ConfigError(f"{name}: got {value!r:.150}; must be a mapping, or None")
    return plain(dict(value or {}))


def plain(value: Any) -> Any:
    """Scalars of NumPy as numbers of Python, also in lists and mappings: what YAML and JSON can hold."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value
