"""Strict, frozen pydantic models of configs and of stored files, and readable messages for their validation errors."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hearai.errors import choices

OLD_KEYS = {"data_paths": "data_path", "use_frames": "frames", "use_landmarks": "landmarks"}
"""{key in files of the older pipeline: its present name}."""


def rename_old_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """A raw config with its keys by their present names, so that another can be merged into it.

    Where a section has both names of a key, both stay; validation refuses that.
    """
    return {name: _rename_in_section(part) if isinstance(part, Mapping) else part for name, part in config.items()}


def _rename_in_section(section: Mapping[str, Any]) -> dict[str, Any]:
    new = {old: name for old, name in OLD_KEYS.items() if name not in section}
    return {new.get(key, key): value for key, value in section.items()}


Count = Annotated[int, Field(ge=0, le=10**9)]


class Record(BaseModel):
    """Base of what a search stores and a report reads: frozen, strict types, no NaN or infinity.

    Unknown keys are ignored, as those of later versions.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, extra="ignore")


class Section(BaseModel):
    """Base of all sections: frozen, strict types, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _rename_old_keys(cls, raw: Any) -> Any:
        """Renames the keys of older pipeline files (`OLD_KEYS`)."""
        if not isinstance(raw, Mapping):
            return raw
        for old, new in OLD_KEYS.items():
            if old in raw and new in cls.model_fields:
                if new in raw:
                    raise ValueError(f"both {new!r} and its old name {old!r} are given; keep one")
                raw = {new if key == old else key: value for key, value in raw.items()}
        return raw


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line per problem: `dotted.path: what was given; what is allowed`."""
    allowed_at: dict[tuple[str, str], list[str]] = {}
    locations = [problem["loc"] for problem in error.errors()]
    for problem in error.errors():
        location = problem["loc"]
        if problem["type"] == "too_short" and any(_is_inside(other, location) for other in locations):
            continue  # pydantic counts the valid entries only
        path = ".".join(str(part) for part in location if not _is_union_branch(str(part))).replace("\n", "\\n")
        found, allowed = _found_and_allowed(problem, model)
        allowed_at.setdefault((path, found), []).append(allowed)
    lines = []
    for (path, found), alternatives in allowed_at.items():
        text = (f"{found}; must be " if found else "") + " or ".join(dict.fromkeys(alternatives))
        lines += [f"{path}: {line}" if path else line for line in text.splitlines()]
    return lines


def _is_inside(location: tuple[int | str, ...], section: tuple[int | str, ...]) -> bool:
    return len(location) > len(section) and location[: len(section)] == section


def _is_union_branch(part: str) -> bool:
    """pydantic adds the branch of a union that it tried to the location; users know only their own keys."""
    return part in {"bool", "str", "int", "float", "DataFolder"} or "[" in part or "(" in part


_PLAIN = {
    "Input should be ": "",
    "a valid integer": "an integer",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid string": "a string",
    "a valid tuple": "a list",
    "a valid dictionary": "a mapping",
    "Tuple should have at least 1 item after validation, not 0": "a list of at least one entry",
    "Dictionary should have at least 1 item after validation, not 0": "a mapping with at least one entry",
}
"""{what pydantic says: what a reader of YAML understands}."""


def _found_and_allowed(problem: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        name = str(problem["loc"][-1])
        return "", f"unknown key; {choices(name, _known_keys(model, problem['loc'][:-1]))}"
    if kind == "value_error":
        return "", str(problem["ctx"]["error"])
    if kind == "missing":
        return "", "missing; give a value"
    if kind in {"model_type", "dict_type"}:
        return f"got {given!r}", "a mapping"
    allowed = problem["msg"]
    for phrase, plain in _PLAIN.items():
        allowed = allowed.replace(phrase, plain)
    return f"got {given!r}", allowed


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Field names of the section at `path` inside `model`."""
    for part in path:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        annotation = field.annotation if field else model.__annotations__.get("__pydantic_extra__")
        sections = [t for t in (annotation, *_nested_types(annotation)) if _is_section(t)]
        if sections:
            model = sections[-1]
    return list(model.model_fields)


def _nested_types(annotation: Any) -> list[Any]:
    return [t for arg in get_args(annotation) for t in (arg, *_nested_types(arg))]


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
