"""Strict YAML reading: duplicate keys, keys that are not strings and malformed files are errors."""

from pathlib import Path
from typing import Any

import yaml

from hearai.errors import ConfigError


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<: *anchor`; its keys may be overridden
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is not a string; quote it", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice, first in line {seen[key]}", key_node.start_mark
                )
            seen[key] = line
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, where: str) -> Any:
    """Parses YAML. where: the prefix of error messages, such as the file's path.

    Raises:
        ConfigError: invalid YAML, or a duplicate key; the message has the line.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: {getattr(error, 'problem', None) or error}") from None
    except (ValueError, RecursionError) as error:  # such as the date 2024-13-45
        raise ConfigError(f"{where}: a value cannot be read ({error}); quote it if it is a string") from None


def read_yaml(path: str | Path, end: str | None = None) -> dict:
    """The mapping in a YAML file, or in the part of it before the text `end`; an empty file gives an empty mapping.

    Raises:
        ConfigError: the file cannot be read, or does not contain a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a YAML file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file; expected YAML in UTF-8") from None
    value = parse_yaml(text.partition(end)[0] if end else text, str(path))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: contains a {type(value).__name__}; expected a mapping of sections")
    return value
