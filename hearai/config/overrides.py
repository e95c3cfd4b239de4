"""Dotted paths into a config: setting them, finding them, laying one mapping over another."""

from collections.abc import Iterator, Mapping
from typing import Any

from hearai.config.config import Config, build_config, to_dict
from hearai.errors import ConfigError, choices


def override(config: Config, values: Mapping[str, Any], where: str = "override") -> Config:
    """A new config with dotted paths set: `override(config, {"train_parameters.lr": 1e-3})`.

    Raises:
        ConfigError: a path the config does not have, or a value that is not allowed there.
    """
    raw = to_dict(config)
    problems = [problem for path, value in values.items() if (problem := _set(raw, path, value))]
    if problems:
        raise ConfigError([f"{where}: {problem}" for problem in problems])
    return build_config(raw, where)


def get_path(config: Config, path: str) -> Any:
    """The value at a dotted path.

    Raises:
        ConfigError: the config has no such path.
    """
    raw = to_dict(config)
    if problem := _set(raw, path, None):
        raise ConfigError(f"override: {problem}")
    value: Any = to_dict(config)
    for key in split_path(path):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def merge(base: Mapping, diff: Mapping) -> dict:
    """`diff` laid over `base`, section by section; what is no mapping is replaced."""
    merged = dict(base)
    for key, value in diff.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def leaves(tree: Mapping, within: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of everything in nested mappings."""
    for key, value in tree.items():
        path = f"{within}.{key}" if within else str(key)
        if isinstance(value, Mapping):
            yield from leaves(value, path)
        else:
            yield path, value


def _set(raw: dict, path: str, value: Any) -> str | None:
    """Sets a dotted path in a plain dict; returns what is wrong with the path."""
    *parents, last = split_path(path)
    node: Any = raw
    for i, key in enumerate(parents):
        if not isinstance(node, dict) or key not in node:
            return _no_such(path, ".".join(parents[:i]), key, node)
        node = node[key]
    open_ended = parents == ["freeze_scheduler", "model_params"]
    if not isinstance(node, dict) or (last not in node and not open_ended):
        return _no_such(path, ".".join(parents), last, node)
    node[last] = value
    return None


def split_path(path: str) -> list[str]:
    """Keys of a dotted path; names of model parts in `freeze_scheduler.model_params` keep their dots."""
    prefix = "freeze_scheduler.model_params."
    if path.startswith(prefix):
        return ["freeze_scheduler", "model_params", path.removeprefix(prefix)]
    return path.split(".")


def _no_such(path: str, section: str, key: str, node: Any) -> str:
    place = f"in {section}" if section else "at the top"
    if not isinstance(node, dict):
        return f"{path}: no such path; {section} is a single value"
    return f"{path}: no {key!r} {place}; {choices(key, map(str, node))}"
