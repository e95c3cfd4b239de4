"""Types of the fields of a config: numbers, names, sizes, file patterns, mappings; each says what it allows."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, NoReturn

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, core_schema

from hearai.config import limits
from hearai.config.model_parts.part_names import OWN_NAME, PartKind, installed_parts, is_own_name
from hearai.errors import choices

MAX_PART_NAME = 100
"""Characters of a name that a user gives to a part of the model."""
FRAME_NUMBER, FRAME_NAME = "{number}", "{name}"
"""Placeholders in a pattern of file names: the number of the frame, the last part of the clip's name."""
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Endings of the files that are taken for images, in lower case."""


class FrozenDict(dict):
    """An immutable, hashable dict: pydantic freezes the fields of a model, not the dicts inside them."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("the config is frozen; use override(config, {...})")

    __setitem__ = __delitem__ = update = pop = popitem = setdefault = clear = __ior__ = _refuse

    def __reduce__(self):
        return FrozenDict, (dict(self),)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def parse_number(value: Any) -> Any:
    """A numeric string as a number, because PyYAML reads `1e-4` as a string; other values unchanged."""
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return value


def list_to_tuple(value: Any) -> Any:
    """A YAML list as a tuple; other values unchanged."""
    return tuple(value) if isinstance(value, list) else value


def name_or_list(value: Any) -> Any:
    """A name as a list of one; a YAML list as a tuple; other values unchanged."""
    return (value,) if isinstance(value, str) else list_to_tuple(value)


def list_of_one_to_name(value: Any) -> Any:
    """A YAML list of one name as that name, a longer one as a tuple; other values unchanged."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else list_to_tuple(value)


def check_distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names.

    Raises:
        ValueError: one is listed twice.
    """
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is listed twice; list it once")
    return names


def check_part_name(name: str) -> str:
    """Returns a name that can be a file name, a module of the model and a key of a dotted path.

    Raises:
        ValueError: it cannot.
    """
    if not 0 < len(name) <= MAX_PART_NAME or not all(char.isalnum() or char in "_- " for char in name):
        raise ValueError(
            f"got {name[:MAX_PART_NAME]!r}; a name has 1 to {MAX_PART_NAME} letters, digits, '_', '-', ' '"
        )
    return name


def check_frame_pattern(pattern: Any) -> Any:
    """Returns a pattern of the file names of frames, such as `img_{number}.png`.

    Raises:
        ValueError: it is not one.
    """
    if not isinstance(pattern, str):
        raise ValueError(f"got {pattern!r}; {_FRAME_PATTERN}, in quotes: a brace opens a mapping in YAML")
    rest = pattern.replace(FRAME_NAME, "").replace(FRAME_NUMBER, "", 1)
    if pattern.count(FRAME_NUMBER) != 1 or not rest.isprintable() or any(char in "{}*?%#/\\" for char in rest):
        example = (
            re.sub(r"%0?\d*d|\{[^}]*\}|\*+|[?#]+", FRAME_NUMBER, rest, count=1) if FRAME_NUMBER not in pattern else ""
        )
        hint = f", perhaps {example!r}" if example and FRAME_NUMBER in example else ""
        raise ValueError(f"got {pattern[:MAX_PART_NAME]!r}; {_FRAME_PATTERN}{hint}")
    if not pattern.lower().endswith(IMAGE_ENDINGS):
        raise ValueError(f"got {pattern[:MAX_PART_NAME]!r}; must end with one of {', '.join(IMAGE_ENDINGS)}")
    return pattern


_FRAME_PATTERN = (
    "must be the file name of a frame with {number} once for its number (leading zeros are read) and, "
    "where it occurs, {name} for the clip's name, such as 'img_{number}.png' or '{name}-{number}.jpg'"
)
Number = Annotated[float, BeforeValidator(parse_number)]
Integer = Annotated[int, BeforeValidator(parse_number)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Seed = Annotated[Integer, Field(ge=-limits.MAX_SEED, le=limits.MAX_SEED)]
Epochs = Annotated[Integer, Field(ge=1, le=limits.MAX_EPOCHS)]
BatchSize = Annotated[Integer, Field(ge=1, le=limits.MAX_BATCH)]
Width = Annotated[Integer, Field(ge=1, le=limits.MAX_WIDTH)]
PartName = Annotated[str, AfterValidator(check_part_name)]
"""The name of a head."""
FramePattern = Annotated[str, BeforeValidator(check_frame_pattern)]
"""The names of the files of frames."""
Names = Annotated[tuple[str, ...], BeforeValidator(name_or_list)]
"""A list of names; a single name is a list of one."""
HeadGroupNames = Annotated[str | Annotated[tuple[str, ...], Field(min_length=1)], BeforeValidator(list_of_one_to_name)]
"""The name of a group of heads, or a list of several."""
Frozen = AfterValidator(FrozenDict)


@dataclass(frozen=True)
class NumberOrRange:
    """Annotates a number of `least` to `most`, or a pair [min, max] within `lowest` and `most`."""

    least: float
    lowest: float
    most: float = math.inf

    def check(self, value: Any) -> Any:
        """Returns the number, or the pair as a tuple.

        Raises:
            ValueError: it is neither.
        """
        low, high = f"{self.least:g}", f"{self.most:g}"
        bounds = f"{low} <= number <= {high}" if math.isfinite(self.most) else f"number >= {low}"
        pair = f"{self.lowest:g} <= min <= max" + (f" <= {high}" if math.isfinite(self.most) else "")
        parsed = _numbers(value)
        if parsed is not None and len(parsed) == 1 and not _is_list(value) and self.least <= parsed[0] <= self.most:
            return float(parsed[0])
        if parsed is not None and _is_list(value) and len(parsed) == 2 and _ascending(self.lowest, *parsed, self.most):
            return tuple(map(float, parsed))
        raise ValueError(f"got {value!r}; must be a number ({bounds}) or a list [min, max] ({pair})")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        most = {"maximum": self.most} if math.isfinite(self.most) else {}
        items = {"type": "number", "minimum": self.lowest, **most}
        return {"anyOf": [{"type": "number", "minimum": self.least, **most}, {"type": "array", "items": items}]}


@dataclass(frozen=True)
class SideOrSides:
    """Annotates the size of an image in pixels: an integer, or a list of one or two integers, [height, width]."""

    least: int
    most: int

    def check(self, value: Any) -> Any:
        """Returns the integer, or the list as a tuple.

        Raises:
            ValueError: it is neither.
        """
        parsed = _numbers(value)
        is_valid = parsed is not None and len(parsed) in {1, 2} and all(isinstance(side, int) for side in parsed)
        if parsed is None or not is_valid or not all(self.least <= side <= self.most for side in parsed):
            allowed = f"{self.least}..{self.most}"
            raise ValueError(f"got {value!r}; must be an integer ({allowed}) or a list [height, width] of two of them")
        return tuple(parsed) if _is_list(value) else parsed[0]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        side = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [side, {"type": "array", "items": side}]}


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _numbers(value: Any) -> list[int | float] | None:
    """The finite numbers of a list, or of a single number; None if anything else is among them."""
    parsed = [parse_number(item) for item in (value if _is_list(value) else [value])]
    is_number = all(isinstance(item, int | float) and not isinstance(item, bool) for item in parsed)
    return parsed if is_number and all(map(math.isfinite, parsed)) else None


def _ascending(*numbers: float) -> bool:
    return all(first <= second for first, second in pairwise(numbers))


Jitter = Annotated[float | tuple[float, float], NumberOrRange(least=0, lowest=0)]
"""By how much a property of an image may change, or [min, max] of the factor, as in torchvision's ColorJitter."""
HueJitter = Annotated[float | tuple[float, float], NumberOrRange(least=0, lowest=-0.5, most=0.5)]
"""By how much the hue may be shifted, or [min, max] of the shift, as in torchvision's ColorJitter."""
Sides = Annotated[int | tuple[int, ...], SideOrSides(8, 4096)]
"""Size of an image in pixels."""


@dataclass(frozen=True)
class OneOf:
    """Annotates a string that must be a key of `table` at the time of validation."""

    table: Mapping[str, Any]

    def check(self, name: str) -> str:
        """Returns the name.

        Raises:
            ValueError: it is not in the table.
        """
        if name not in self.table:
            raise ValueError(f"got {name!r}; {choices(name, self.table)}")
        return name

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self.table)}


@dataclass(frozen=True)
class PartOf:
    """Annotates the name of a part: a key of `table`, `module:Class`, or what an installed package offers.

    Nothing is imported, so that studies and reports can be read without the user's code.
    """

    table: Mapping[str, Any]
    kind: PartKind

    def check(self, name: str) -> str:
        """Returns the name.

        Raises:
            ValueError: it is none of these.
        """
        if name in self.table or is_own_name(name) or name in installed_parts(self.kind.group):
            return name
        known = choices(name, [*self.table, *installed_parts(self.kind.group)])
        raise ValueError(f"got {name!r}; {known}, or name your own as {OWN_NAME}; parts of a package need it installed")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{**handler(schema), "enum": list(self.table)}, {"const": OWN_NAME}]}


MAX_KWARGS = 100
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def check_kwargs(given: Any) -> Any:
    """Returns keyword arguments of a part of the user's own, lists as tuples; `1e-4`, which PyYAML reads as text, too.

    Raises:
        ValueError: a name is no name of Python's, or a value is neither plain nor a list of plain values.
    """
    if not isinstance(given, Mapping):
        return given
    if len(given) > MAX_KWARGS:
        raise ValueError(f"got {len(given)} keyword arguments; at most {MAX_KWARGS} are allowed")
    problems = [
        f"got the name {name!r}; must be a name of a keyword argument, without dots"
        for name in given
        if not isinstance(name, str) or not name.isidentifier()
    ]
    plain: dict[str, Any] = {}
    for name, value in given.items():
        plain[name] = tuple(map(_plain, value)) if _is_list(value) else _plain(value)
        if not all(map(_is_plain, plain[name] if _is_list(value) else [value])):
            problems.append(
                f"{name}: got {value!r}; must be a finite number, a text, true, false, null, or a list of these"
            )
    if problems:
        raise ValueError("\n".join(problems))
    return plain


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) < math.inf
    return value is None or isinstance(value, str | bool)


Kwargs = Annotated[dict[str, Any], BeforeValidator(check_kwargs), Frozen]
"""Keyword arguments of a part of the user's own."""
