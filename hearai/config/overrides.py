"""Dotted paths into a config: getting and setting values, merging mappings."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from hearai.config.config import Config, build_config, to_dict
from hearai.config.model_parts.part_names import is_kwarg
from hearai.config.validation import explain
from hearai.errors import ConfigError, choices


def override(config: Config, values: Mapping[str, Any], where: str = "override") -> Config:
    """A copy of the config with the values at dotted paths replaced: `{"train_parameters.lr": 1e-3}`.

    A mapping at the path of a section, `{"train_parameters": {"lr": 1e-3}}`, leaves the rest of the section as it is.
    What is frozen by default is decided again if neither the config nor the values state it. Keyword arguments belong
    to the part that the config names: another part starts without them.

    Raises:
        ConfigError: a path does not exist, or its value is not valid.
    """
    raw, values = to_dict(config), dict(_single_values(values))
    for part in config.parts:
        if part.kwargs and values.get(part.kind.name_path, part.name) != part.name:
            _set(raw, part.kind.kwargs_path, {})
    problems = [problem for path, value in values.items() if (problem := _set(raw, path, value))]
    if problems:
        raise ConfigError([f"{where}: {problem}" for problem in problems])
    stated = config.states_frozen_parts or any(_sets_frozen_parts(path) for path in values)
    if not stated:
        del raw["freeze_scheduler"]["model_params"]
    return build_config(raw, where)


def _single_values(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values of sections one by one."""
    for path, value in values.items():
        is_section = path in Config.model_fields and path != "heads"  # groups of heads are redefined
        if is_section and isinstance(value, Mapping):
            yield from ((f"{path}.{key}", inner) for key, inner in value.items())
        else:
            yield path, value


def _sets_frozen_parts(path: str) -> bool:
    section, _, rest = path.partition(".")
    return section == "freeze_scheduler" and rest.partition(".")[0] in ("", "model_params")


def get_path(config: Config, path: str) -> Any:
    """The value at a dotted path.

    Raises:
        ConfigError: the path does not exist.
    """
    raw = to_dict(config)
    if problem := _set(raw, path, None):
        raise ConfigError(f"override: {problem}")
    value: Any = to_dict(config)
    for key in split_path(path):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def merge(base: Mapping, diff: Mapping) -> dict:
    """`base` updated recursively with `diff`; values other than mappings are replaced."""
    merged = dict(base)
    for key, value in diff.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def leaves(tree: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every leaf of nested mappings."""
    for key, value in tree.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from leaves(value, path)
        else:
            yield path, value


def changes_nothing(base: Config, values: Mapping[str, Any]) -> bool:
    """Whether the config has these values at these dotted paths."""
    try:
        return override(base, values) == base
    except ConfigError:
        return False


def path_problems(base: Config, path: str) -> list[str]:
    """What is wrong with a path, whatever its value."""
    try:
        if is_kwarg(path) and get_path(base, path) is None:
            return []  # a new key; whether the part takes it is checked where it is named
        return override_problems(base, {path: get_path(base, path)})
    except ConfigError as error:  # raised by get_path
        return [problem.removeprefix("override: ") for problem in error.problems]


def override_problems(base: Config, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the config that has these values at these dotted paths."""
    try:
        override(base, values)
    except ConfigError as error:
        return [problem.removeprefix("override: ") for problem in error.problems]
    return []


def field_problems(base: Config, path: str, value: Any) -> list[str]:
    """What is wrong with a value at a dotted path by itself, whatever the other values are."""
    raw, keys = to_dict(base), tuple(split_path(path))
    if _set(raw, path, value):
        return []
    try:
        Config.model_validate(raw)
    except ValidationError as error:
        if any(problem["loc"][: len(keys)] == keys for problem in error.errors()):
            return explain(error, Config)
    return []


def _set(raw: dict, path: str, value: Any) -> str | None:
    """Sets the value at a dotted path of a plain dict in place; returns what is wrong with the path, if anything."""
    *parents, last = split_path(path)
    node: Any = raw
    for i, key in enumerate(parents):
        if not isinstance(node, dict) or key not in node:
            return _no_such(path, ".".join(parents[:i]), key, node)
        node = node[key]
    accepts_new_keys = parents == ["freeze_scheduler", "model_params"] or (is_kwarg(path) and last.isidentifier())
    if not isinstance(node, dict) or (last not in node and not accepts_new_keys):
        return _no_such(path, ".".join(parents), last, node)
    node[last] = value
    return None


def split_path(path: str) -> list[str]:
    """The keys of a dotted path; the names of model parts in `freeze_scheduler.model_params` contain dots."""
    prefix = "freeze_scheduler.model_params."
    if path.startswith(prefix):
        return ["freeze_scheduler", "model_params", path.removeprefix(prefix)]
    return path.split(".")


def _no_such(path: str, section: str, key: str, node: Any) -> str:
    place = f"in {section}" if section else "at the top level"
    if not isinstance(node, dict):
        return f"{path}: no such path; {section} is a single value"
    return f"{path}: no {key!r} {place}; {choices(key, map(str, node))}"
