"""Search spaces: dotted paths into the config, each with a domain of values to try.

    train_parameters.lr: {float: [1.0e-5, 1.0e-2], log: true}
    transformer.num_encoder_layers: {int: [1, 4]}
    transformer.num_attention_heads: {choice: [2, 4, 8], when: {transformer.name: sign_language_transformer}}
    train_parameters.batch_size: 32                     # one value: fixed

`Space.walk` visits the domains in an order in which every condition is decided before it is asked about;
who chooses the values (Optuna, a random generator, a list) is the caller's business.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hearai.config import Config
from hearai.errors import ConfigError, choices
from hearai.overrides import get_path, override

KINDS = ("float", "int", "choice")
POINTS_TRIED = 200
"""Random points of a space that must give valid configs before a search begins; 0.2 ms each."""
Value = float | int | str | bool | None


@dataclass(frozen=True)
class Domain:
    """The values one parameter may take.

    kind: "float" or "int" (both ends included, `step` apart if set, log scale if `log`), or "choice".
    when: {other path: values}: the parameter exists only while each other path has one of its values.
    """

    kind: str
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    values: tuple[Value, ...] = ()
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def sample(self, rng: random.Random) -> Value:
        """One value, uniform (or log-uniform) over the domain."""
        if self.kind == "choice":
            return rng.choice(self.values)
        if self.step:
            drawn = self.low + self.step * rng.randint(0, math.floor(self._steps))
            return self._number(min(drawn, self.high))  # 6 x 0.05 is more than 0.3
        if self.log:
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return self._number(min(max(drawn, self.low), self.high))
        if self.kind == "int":
            return rng.randint(int(self.low), int(self.high))
        return rng.uniform(self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Whether the value could have been sampled."""
        if self.kind == "choice":
            return any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in self.values)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high:
            return False
        step = self.step or (1 if self.kind == "int" else None)
        steps = (value - self.low) / step if step else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def corners(self) -> tuple[Value, ...]:
        """The values a config must accept for the domain to be sound: the ends, or every choice."""
        return self.values if self.kind == "choice" else (self._number(self.low), self._number(self.high))

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


class Space:
    """{dotted path: Domain}, ordered so that conditions come before what depends on them."""

    def __init__(self, domains: Mapping[str, Domain]):
        self.domains = _conditions_first(domains)

    def walk(self, choose: Callable[[str, Domain], Value], base: Config) -> dict[str, Value]:
        """{path: chosen value} of every parameter whose conditions hold."""
        params: dict[str, Value] = {}
        for path, domain in self.domains.items():
            if self.is_active(domain, params, base):
                params[path] = choose(path, domain)
        return params

    def sample(self, rng: random.Random, base: Config) -> dict[str, Value]:
        """One random point."""
        return self.walk(lambda _, domain: domain.sample(rng), base)

    def is_active(self, domain: Domain, params: Mapping[str, Value], base: Config) -> bool:
        """Whether the conditions hold, given the parameters chosen so far and the base config."""
        for other, allowed in domain.when.items():
            if other in self.domains and other not in params:
                return False  # what it depends on is itself switched off
            actual = params[other] if other in params else get_path(base, other)
            if actual not in allowed:
                return False
        return True

    def problems(self, base: Config) -> list[str]:
        """What the base config would not accept, one line a problem."""
        found = []
        for path, domain in self.domains.items():
            wrong = _refusals(base, path, None)
            for other, allowed in domain.when.items():
                wrong += self._condition_problems(base, path, other, allowed)
            there = {} if wrong else self._where_active(domain)
            found += wrong or [
                line for value in domain.corners() for line in _config_problems(base, {**there, path: value})
            ]
        found = found or self._misfits(base)
        return [f"space: {line}" for line in dict.fromkeys(found)]

    def _where_active(self, domain: Domain) -> dict[str, Value]:
        """Values under which the conditions hold: the first of each, and of what the others depend on."""
        values: dict[str, Value] = {}
        for other, allowed in domain.when.items():
            if other in self.domains:
                values |= self._where_active(self.domains[other])
            values[other] = allowed[0]
        return values

    def _condition_problems(self, base: Config, path: str, other: str, allowed: tuple[Value, ...]) -> list[str]:
        """A condition on a path that does not exist, or on a value that can never be."""
        if other not in self.domains:
            return _refusals(base, other, None) or [
                f"{path}: when: {line}" for value in allowed for line in _refusals(base, other, (value,))
            ]
        domain = self.domains[other]
        return [
            f"{path}: when: {other}: got {value!r}, which is never tried; choose from {domain}"
            for value in allowed
            if not domain.contains(value)
        ]

    def _misfits(self, base: Config) -> list[str]:
        """Values that are fine one by one and not together, as far as random points show."""
        rng, found = random.Random(0), []
        for _ in range(POINTS_TRIED):
            found += _config_problems(base, self.sample(rng, base))
        return [f"values do not fit together (give a condition with `when:`): {line}" for line in found[:1]]


def parse_space(raw: Mapping[str, Any], where: str) -> Space:
    """The space of a YAML mapping.

    Raises:
        ConfigError: every malformed domain, with its path.
    """
    domains, problems = {}, []
    for path, spec in raw.items():
        try:
            domains[path] = _parse_domain(spec)
        except ValueError as error:
            problems.append(f"{where}: space: {path}: {error}")
    for path in domains:
        if loop := _depends_on_itself(path, domains):
            problems.append(f"{where}: space: {path}: its conditions run in a circle ({' -> '.join(loop)})")
    if problems:
        raise ConfigError(problems)
    return Space(domains)


def _parse_domain(spec: Any) -> Domain:
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
        return Domain(kind, values=_choice_values(spec[kind]), when=when)
    return _parse_range(kind, spec, when)


def _parse_when(spec: Any) -> dict[str, tuple[Value, ...]]:
    if not isinstance(spec, Mapping):
        raise ValueError(f"when: got {spec!r}; give {{other path: value or list of values}}")
    when = {path: tuple(map(_scalar, _as_list(values))) for path, values in spec.items()}
    for path, values in when.items():
        if not values:
            raise ValueError(f"when: {path}: got no value; give at least one")
    return when


def _parse_range(kind: str, spec: Mapping, when: Mapping[str, tuple[Value, ...]]) -> Domain:
    ends = spec[kind]
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        raise ValueError(f"{kind}: got {ends!r}; give [lowest, highest]")
    low, high = (_real(end, kind) for end in ends)
    log, step = spec.get("log", False), spec.get("step")
    if not isinstance(log, bool):
        raise ValueError(f"log: got {log!r}; give true or false")
    step = None if step is None else _real(step, kind)
    if low > high:
        raise ValueError(f"{kind}: lowest {low:g} is above highest {high:g}; swap them")
    if log and low <= 0:
        raise ValueError(f"{kind}: lowest {low:g} with log: true; it must be above 0")
    if step is not None and (step <= 0 or log):
        raise ValueError(f"step: got {step:g}{' with log: true' if log else ''}; give a step above 0 without log")
    return Domain(kind, low=low, high=high, log=log, step=step, when=when)


def _choice_values(values: Any) -> tuple[Value, ...]:
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(f"choice: got {values!r}; give a list of at least one value")
    scalars = tuple(map(_scalar, values))
    if len(set(map(repr, scalars))) < len(scalars):
        raise ValueError(f"choice: {list(values)} names a value twice; name each once")
    return scalars


def _real(value: Any, kind: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{kind}: got {value!r}; give a finite number")
    if kind == "int" and number != round(number):
        raise ValueError(f"int: got {value!r}; give a whole number")
    return number


def _scalar(value: Any) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"got {value!r}; give a finite number")
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise ValueError(f"got {value!r}; give single values (text, number, true or false)")
    return value


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _depends_on_itself(path: str, domains: Mapping[str, Domain]) -> list[str]:
    """The circle of conditions through `path`, or nothing."""
    trail, front = [path], [other for other in domains[path].when if other in domains]
    seen: set[str] = set()
    while front:
        other = front.pop()
        trail.append(other)
        if other == path:
            return trail
        if other not in seen:
            seen.add(other)
            front += [o for o in domains[other].when if o in domains]
    return []


def _conditions_first(domains: Mapping[str, Domain]) -> dict[str, Domain]:
    ordered: dict[str, Domain] = {}

    def place(path: str) -> None:
        for other in domains[path].when:
            if other in domains:
                place(other)
        ordered.setdefault(path, domains[path])

    for path in domains:
        place(path)
    return ordered


def _refusals(base: Config, path: str, value: tuple[Value] | None) -> list[str]:
    """What the config says to the value at the path; `value` None asks about the path alone."""
    try:
        return _config_problems(base, {path: value[0] if value else get_path(base, path)})
    except ConfigError as error:  # of get_path
        return [problem.removeprefix("override: ") for problem in error.problems]


def _config_problems(base: Config, values: Mapping[str, Value]) -> list[str]:
    try:
        override(base, values)
    except ConfigError as error:
        return [problem.removeprefix("override: ") for problem in error.problems]
    return []
