"""Strict YAML reading: duplicate keys, keys that are not strings and malformed files are errors.

What is small as text and huge when it is read (aliases, merge keys, long numbers) is refused before it is built.
"""

import stat
from pathlib import Path
from typing import Any

import yaml

from hearai.errors import ConfigError

MAX_BYTES = 200_000
"""Of a YAML file; the largest config or study has a few kB."""
MAX_VALUES = 100_000
"""Of a document in which every alias is written out."""
MAX_NUMBER = 100
"""Characters of a number. Python needs minutes for `1:1:1:...` (base 60) of a megabyte."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")


class _StrictLoader(yaml.SafeLoader):
    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _check_size(node)
        return node

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


def _check_size(root: yaml.Node) -> None:
    """Raises ConstructorError if the document would be too large with every alias written out."""
    sizes: dict[int, int] = {}
    """{id of a node: values in it}; 0 = it is being counted."""

    def size_of(node: yaml.Node) -> int:
        if (known := sizes.get(id(node))) is not None:
            if not known:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    "an alias (*) refers to the value that contains it; write the value out",
                    node.start_mark,
                )
            return known
        sizes[id(node)] = 0
        sizes[id(node)] = size = 1 + sum(map(size_of, _children(node)))
        if size > MAX_VALUES:
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"more than {MAX_VALUES:,} values with every alias (*) and merge key (<<) written out; remove aliases",
                node.start_mark,
            )
        return size

    size_of(root)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    if isinstance(node, yaml.SequenceNode):
        return node.value
    if node.tag in _NUMBERS and len(node.value) > MAX_NUMBER:
        raise yaml.constructor.ConstructorError(
            None, None, f"a number of {len(node.value):,} characters; quote it if it is a string", node.start_mark
        )
    return []


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
    except RecursionError:
        raise ConfigError(f"{where}: too many levels of brackets or indentation; a config has four") from None
    except (ValueError, OverflowError) as error:  # such as the date 2024-13-45
        raise ConfigError(f"{where}: a value cannot be read ({error}); quote it if it is a string") from None


def read_yaml(path: str | Path, end: str | None = None) -> dict:
    """The mapping in a YAML file, or in the part of it before the text `end`; an empty file gives an empty mapping.

    Raises:
        ConfigError: the file cannot be read, or does not contain a mapping.
    """
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise ConfigError(f"{path}: not a file but a pipe or a device; give a YAML file")
        if status.st_size > MAX_BYTES:
            size = f"{status.st_size / 1e6:,.1f} MB"
            raise ConfigError(f"{path}: has {size}; expected a YAML file of at most {MAX_BYTES / 1e6:g} MB")
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
