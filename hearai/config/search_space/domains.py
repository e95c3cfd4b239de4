"""The domain of a searched parameter: its possible values, and their YAML syntax."""

import functools
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import TypeAdapter

from hearai.config.config import Config
from hearai.config.model_parts.part_names import is_kwarg
from hearai.errors import choices

KINDS = ("float", "int", "choice")
Value = float | int | str | bool | None


@dataclass(frozen=True)
class Domain:
    """The values that one parameter can take.

    kind: "float" or "int" (both bounds included, in multiples of `step` if set, log scale if `log`), or "choice".
    options: of a tied choice, {label: {dotted path: value}}; its values are the labels.
    when: {other path: values}; the parameter exists only if every other path has one of its values.
    """

    kind: str
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    values: tuple[Value, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def sample(self, rng: random.Random) -> Value:
        """One value, uniform (or log-uniform) over the domain."""
        if self.kind == "choice":
            return rng.choice(self.values)
        if self.step:
            value = self.low + self.step * rng.randint(0, math.floor(self._steps))
            return self._number(min(value, self.high))  # in floating point 6 x 0.05 > 0.3
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return self._number(min(max(value, self.low), self.high))
        if self.kind == "int":
            return rng.randint(int(self.low), int(self.high))
        return rng.uniform(self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Whether the value is in the domain."""
        if self.kind == "choice":
            return any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in self.values)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high:
            return False
        step = self.step or (1 if self.kind == "int" else None)
        steps = (value - self.low) / step if step else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def corners(self) -> tuple[Value, ...]:
        """Values that must be valid for the domain to be valid: the bounds, or all choices."""
        return self.values if self.kind == "choice" else (self._number(self.low), self._number(self.high))

    def grid(self) -> tuple[Value, ...]:
        """All values in ascending order. Defined for choices, ints, and floats with a step or equal bounds."""
        if self.kind == "choice":
            return self.values
        step = self.step or 1
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return tuple(self._number(min(self.low + i * step, self.high)) for i in range(count))

    @property
    def _steps(self) -> float:
        return (self.high - self.low) / self.step + 1e-9 if self.step else 0.0

    def _number(self, value: float) -> float | int:
        return round(value) if self.kind == "int" else float(value)

    def __str__(self) -> str:
        if self.kind == "choice":
            return " | ".join(map(str, self.values))
        scale = ", log" if self.log else f", step {self.step:g}" if self.step else ""
        return f"{self.kind} {self.low:g} .. {self.high:g}{scale}"


def parse_domain(spec: Any, path: str = "") -> Domain:
    """The domain that a YAML value describes; a single value is a choice of one.

    Args:
        path: the dotted path that it belongs to; an option that can be a list may have lists among its values.

    Raises:
        ValueError: not a valid domain; the message has what was given and what is allowed.
    """
    if _takes_list(path):
        spec = _tie_lists(spec, path)
    if not isinstance(spec, Mapping):
        return Domain("choice", values=(_scalar(spec),))
    kinds = [kind for kind in KINDS if kind in spec]
    if len(kinds) != 1:
        raise ValueError(f"got {dict(spec)}; give exactly one of {', '.join(KINDS)}, or a single value")
    kind = kinds[0]
    known = {kind, "when"} | ({"log", "step"} if kind != "choice" else set())
    for key in spec:
        if key not in known:
            raise ValueError(f"unknown key {key!r}; {choices(key, known)}")
    when = _parse_when(spec.get("when", {}))
    if kind == "choice":
        if options := _tied_options(spec[kind]):
            return Domain(kind, values=tuple(options), options=options, when=when)
        return Domain(kind, values=_choice_values(spec[kind]), when=when)
    return _parse_range(kind, spec, when)


@functools.cache
def _takes_list(path: str) -> bool:
    """Whether the option at a dotted path can be a list."""
    if is_kwarg(path):
        return True
    section, _, key = path.partition(".")
    field = Config.model_fields.get(section)
    if field is None or field.annotation is None or key not in field.annotation.model_fields:
        return False
    option = field.annotation.model_fields[key]
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[option.annotation, *option.metadata, None])  # type: ignore[arg-type]
    schema = adapter.json_schema()
    return any(kind.get("type") == "array" for kind in (schema, *schema.get("anyOf", ())))


def _tie_lists(spec: Any, path: str) -> Any:
    """Values with lists among them as a tied choice of named values: samplers know single values only."""
    given = spec.get("choice") if isinstance(spec, Mapping) else [spec]
    if not isinstance(given, (list, tuple)) or not any(isinstance(value, (list, tuple)) for value in given):
        return spec
    named = {_plain(value): {path: value} for value in given}
    if len(named) < len(given):
        raise ValueError(f"choice: {list(given)} contains duplicates; give each value once")
    return {**(spec if isinstance(spec, Mapping) else {}), "choice": named}


def is_choice_of_lists(domain: Domain, path: str) -> bool:
    """Whether the domain is a choice of values of this path that was tied because lists are among them."""
    return all(option.keys() == {path} and label == _plain(option[path]) for label, option in domain.options.items())


def _parse_when(spec: Any) -> dict[str, tuple[Value, ...]]:
    if not isinstance(spec, Mapping):
        raise ValueError(f"when: got {spec!r}; give {{other path: value or list of values}}")
    when = {path: tuple(map(_scalar, _as_list(values))) for path, values in spec.items()}
    for path, values in when.items():
        if not values:
            raise ValueError(f"when: {path}: got no values; give at least one")
    return when


def _parse_range(kind: str, spec: Mapping, when: Mapping[str, tuple[Value, ...]]) -> Domain:
    bounds = spec[kind]
    if not isinstance(bounds, (list, tuple)) or len(bounds) != 2:
        raise ValueError(f"{kind}: got {bounds!r}; give [low, high]")
    low, high = (_finite(bound, kind) for bound in bounds)
    log, step = spec.get("log", False), spec.get("step")
    if not isinstance(log, bool):
        raise ValueError(f"log: got {log!r}; give true or false")
    step = None if step is None else _finite(step, kind)
    if low > high:
        raise ValueError(f"{kind}: low {low:g} is above high {high:g}; swap them")
    if log and low <= 0:
        raise ValueError(f"{kind}: low {low:g} with log: true; it must be above 0")
    if step is not None and (step <= 0 or log):
        raise ValueError(f"step: got {step:g}{' with log: true' if log else ''}; give a step above 0 without log")
    return Domain(kind, low=low, high=high, log=log, step=step, when=when)


def _tied_options(choice: Any) -> dict[str, dict[str, Any]]:
    """{label: {dotted path: value}} of a choice of mappings, {} for any other choice."""
    if isinstance(choice, Mapping):
        labelled = list(choice.items())
    elif isinstance(choice, (list, tuple)) and any(isinstance(option, Mapping) for option in choice):
        labelled = [(_label(option), option) for option in choice]
    else:
        return {}
    for label, option in labelled:
        if not isinstance(option, Mapping) or not option:
            raise ValueError(f"choice: {label}: got {option!r}; give {{dotted path: value}}, as in the other options")
    labels = [label for label, _ in labelled]
    if duplicates := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(f"choice: two options are named {duplicates[0]!r}; name them: {{name: {{...}}}}")
    return {label: dict(option) for label, option in labelled}


def _label(option: Any) -> Any:
    """The default name of an option: `model_path=resnet18 pretrained=true`."""
    if not isinstance(option, Mapping):
        return option
    return " ".join(f"{path.split('.')[-1]}={_plain(value)}" for path, value in option.items())


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (bool, list, dict)) or value is None else str(value)


def _choice_values(values: Any) -> tuple[Value, ...]:
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(f"choice: got {values!r}; give a list of at least one value")
    scalars = tuple(map(_scalar, values))
    if len(set(map(repr, scalars))) < len(scalars):
        raise ValueError(f"choice: {list(values)} contains duplicates; give each value once")
    return scalars


def _finite(value: Any, kind: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{kind}: got {value!r}; give a finite number")
    if kind == "int" and number != round(number):
        raise ValueError(f"int: got {value!r}; give an integer")
    return number


def _scalar(value: Any) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"got {value!r}; give a finite number")
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise ValueError(f"got {value!r}; give single values (string, number, true or false)")
    return value


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else [value]


# -- how the entries of a space depend on each other ----------------------------------------------


def paths_of(domain: Domain) -> list[str]:
    """The paths that a tied choice sets."""
    return list(dict.fromkeys(path for option in domain.options.values() for path in option))


def tied_by(domains: Mapping[str, Domain]) -> dict[str, str]:
    """{path: the tied choice that sets it}."""
    return {path: name for name, domain in domains.items() for path in paths_of(domain)}


def set_twice(domains: Mapping[str, Domain]) -> list[str]:
    """Paths that two entries of a space set."""
    owners: dict[str, list[str]] = {}
    for name, domain in domains.items():
        for path in paths_of(domain) or [name]:
            owners.setdefault(path, []).append(name)
    return [
        f"space: {path}: set by both {' and '.join(names)}; keep one of them"
        for path, names in owners.items()
        if len(names) > 1
    ]


def _dependencies(domain: Domain, domains: Mapping[str, Domain], tied_by: Mapping[str, str]) -> list[str]:
    """The entries of the space on which a domain's conditions depend."""
    return [tied_by.get(other, other) for other in domain.when if other in domains or other in tied_by]


def find_cycle(name: str, domains: Mapping[str, Domain], tied_by: Mapping[str, str]) -> list[str]:
    """The cycle of conditions through `name`, or an empty list."""
    trail, stack = [name], _dependencies(domains[name], domains, tied_by)
    seen: set[str] = set()
    while stack:
        other = stack.pop()
        trail.append(other)
        if other == name:
            return trail
        if other not in seen:
            seen.add(other)
            stack += _dependencies(domains[other], domains, tied_by)
    return []


def in_order(domains: Mapping[str, Domain], tied_by: Mapping[str, str]) -> dict[str, Domain]:
    ordered: dict[str, Domain] = {}

    def visit(name: str) -> None:
        for other in _dependencies(domains[name], domains, tied_by):
            visit(other)
        ordered.setdefault(name, domains[name])

    for name in domains:
        visit(name)
    return ordered
