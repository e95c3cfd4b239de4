"""Strict, frozen pydantic sections, and their errors in words a user can act on."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hearai.errors import choices

OLD_KEYS = {"data_paths": "data_path", "use_frames": "frames", "use_landmarks": "landmarks"}
"""Names in the older pipeline's files -> names here."""


def present_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """A raw config in present names, so that another can be laid over it. A key given by both names stays both."""
    return {name: _renamed(part) if isinstance(part, Mapping) else part for name, part in config.items()}


def _renamed(section: Mapping[str, Any]) -> dict[str, Any]:
    new = {old: name for old, name in OLD_KEYS.items() if name not in section}
    return {new.get(key, key): value for key, value in section.items()}


class FrozenDict(dict):
    """A dict that cannot change: pydantic freezes a model's fields, not the dicts inside them."""

    def _refuse(self, *_: Any, **__: Any) -> None:
        raise TypeError("the config is frozen; use override(config, {...})")

    __setitem__ = __delitem__ = update = pop = popitem = setdefault = clear = __ior__ = _refuse

    def __reduce__(self):
        return FrozenDict, (dict(self),)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def number(value: Any) -> Any:
    """PyYAML reads `1e-4` as a string; a numeric string is welcome where a number is due."""
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return value


def listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def named(value: Any) -> Any:
    """One name is a list of one."""
    return (value,) if isinstance(value, str) else listed(value)


Real = Annotated[float, BeforeValidator(number)]
Whole = Annotated[int, BeforeValidator(number)]
Fraction = Annotated[Real, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(named)]
Frozen = AfterValidator(FrozenDict)


class Section(BaseModel):
    """Base of all sections: frozen, strict types, unknown keys refused, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _rename_old_keys(cls, raw: Any) -> Any:
        """Keys of older pipeline files (`OLD_KEYS`) take their present names."""
        if not isinstance(raw, Mapping):
            return raw
        for old, new in OLD_KEYS.items():
            if old in raw and new in cls.model_fields:
                if new in raw:
                    raise ValueError(f"both {new!r} and its old name {old!r} are given; keep one")
                raw = {new if key == old else key: value for key, value in raw.items()}
        return raw


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line a problem: `dotted.path: what was given; what is allowed`."""
    rules: dict[tuple[str, str], list[str]] = {}
    places = [problem["loc"] for problem in error.errors()]
    for problem in error.errors():
        place = problem["loc"]
        if problem["type"] == "too_short" and any(len(p) > len(place) and p[: len(place)] == place for p in places):
            continue  # pydantic counts the valid entries only
        path = ".".join(str(part) for part in place if not _is_union_tag(str(part)))
        found, allowed = _found_and_allowed(problem, model)
        rules.setdefault((path, found), []).append(allowed)
    lines = []
    for (path, found), allowed in rules.items():
        text = (f"{found}; must be " if found else "") + " or ".join(dict.fromkeys(allowed))
        lines += [f"{path}: {line}" if path else line for line in text.splitlines()]
    return lines


def _is_union_tag(part: str) -> bool:
    """pydantic puts the branch of a union it tried into the location; users know only their keys."""
    return part in {"bool", "str", "int", "float", "DataFolder"} or "[" in part or "(" in part


_WORDS = {
    "Input should be ": "",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid string": "text",
    "a valid tuple": "a list",
    "a valid dictionary": "a mapping",
    "Tuple should have at least 1 item after validation, not 0": "a list of at least one entry",
    "Dictionary should have at least 1 item after validation, not 0": "a mapping with at least one entry",
}


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
    rule = problem["msg"]
    for words, plain in _WORDS.items():
        rule = rule.replace(words, plain)
    return f"got {given!r}", rule


def _known_keys(model: type[BaseModel], path: tuple) -> list[str]:
    """Field names of the section at `path` inside `model`."""
    for part in path:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        annotation = field.annotation if field else model.__annotations__.get("__pydantic_extra__")
        inner = [t for t in (annotation, *_nested(annotation)) if _is_section(t)]
        if inner:
            model = inner[-1]
    return list(model.model_fields)


def _nested(annotation: Any) -> list[Any]:
    return [t for arg in get_args(annotation) for t in (arg, *_nested(arg))]


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
