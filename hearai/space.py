"""Search spaces: dotted paths into the config, each with a domain of values to try.

    train_parameters.lr: {float: [1.0e-5, 1.0e-2], log: true}
    transformer.num_encoder_layers: {int: [1, 4]}
    transformer.num_attention_heads: {choice: [2, 4, 8], when: {transformer.name: sign_language_transformer}}
    train_parameters.batch_size: 32                     # one value: fixed

`Space.walk` visits the domains in an order in which every condition is decided before it is asked about;
who chooses the values (Optuna, a random generator, a list) is the caller's business.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from hearai.config import Config
from hearai.domains import Domain, Value, parse_domain
from hearai.errors import ConfigError
from hearai.overrides import get_path, override

POINTS_TRIED = 200
"""Random points of a space that must give valid configs before a search begins; 0.2 ms each."""


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
                line
                for value in domain.corners()
                for line in _config_problems(base, self._point_around({**there, path: value}, base))
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

    def _point_around(self, fixed: Mapping[str, Value], base: Config) -> dict[str, Value]:
        """A whole point with the values that are fixed: what else is searched is near the base config.

        A value may need others beside it (landmarks, for an extractor that reads them), whose conditions it fulfils.
        """

        def choose(path: str, domain: Domain) -> Value:
            own = fixed.get(path, get_path(base, path))
            return own if domain.contains(own) else domain.corners()[0]

        return {**self.walk(choose, base), **fixed}

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
            domains[path] = parse_domain(spec)
        except ValueError as error:
            problems.append(f"{where}: space: {path}: {error}")
    for path in domains:
        if loop := _depends_on_itself(path, domains):
            problems.append(f"{where}: space: {path}: its conditions run in a circle ({' -> '.join(loop)})")
    if problems:
        raise ConfigError(problems)
    return Space(domains)


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
