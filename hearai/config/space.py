"""Search spaces: dotted paths into the config, each with a domain of values.

    train_parameters.lr: {float: [1.0e-5, 1.0e-2], log: true}
    transformer.num_encoder_layers: {int: [1, 4]}
    transformer.num_attention_heads: {choice: [2, 4, 8], when: {transformer.name: sign_language_transformer}}
    train_parameters.batch_size: 32                     # a single value is constant
    backbone:                                           # a tied choice under a free name: options set several paths
      choice:
        resnet18: {feature_extractor.name: cnn_extractor, feature_extractor.model_path: resnet18}
        landmarks: {feature_extractor.name: gcn_extractor, train_parameters.landmarks: true}

`Space.walk` visits the domains in an order in which each condition is decided before the domains that depend on it.
The caller supplies the values: from Optuna, a random generator or a list.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hearai.config.config import Config
from hearai.config.constraints import Constraint, parse_constraints
from hearai.config.domains import Domain, Value, is_choice_of_lists, parse_domain
from hearai.config.overrides import get_path, override
from hearai.errors import ConfigError

MAX_DRAWS = 1000
"""Random points drawn before giving up on finding one that satisfies the constraints."""
VALIDATION_POINTS = 200
"""Random points of a space that must be valid configs before a search starts; 0.2 ms each."""


class Space:
    """{name: Domain}, ordered so that conditions come before the domains that depend on them; and constraints.

    A name is a dotted path into the config, or the free name of a tied choice.
    """

    def __init__(self, domains: Mapping[str, Domain], constraints: Sequence[Constraint] = ()):
        self._tied_by = _tied_by(domains)
        self.domains = _conditions_first(domains, self._tied_by)
        self.constraints = tuple(constraints)

    @property
    def paths(self) -> dict[str, tuple[Any, ...]]:
        """{every dotted path that trials can change: its possible values (of numbers, the bounds)}."""
        plain = {name: domain.corners() for name, domain in self.domains.items() if not domain.options}
        tied: dict[str, tuple[Any, ...]] = {}
        for domain in self.domains.values():
            for option in domain.options.values():
                tied |= {path: (*tied.get(path, ()), value) for path, value in option.items()}
        return {**plain, **tied}

    def expand(self, params: Mapping[str, Value]) -> dict[str, Any]:
        """{dotted path: value} of a point, with tied choices replaced by the values that they set."""
        changes: dict[str, Any] = {}
        for name, value in params.items():
            options = self.domains[name].options if name in self.domains else {}
            changes |= options[str(value)] if options else {name: value}
        return changes

    def violation(self, params: Mapping[str, Value], base: Config) -> str | None:
        """A message about the first constraint that a point violates."""
        changes = self.expand(params) if self.constraints else {}
        for constraint in self.constraints:
            values = [changes[path] if path in changes else get_path(base, path) for path in constraint.paths]
            if not constraint.is_satisfied(values):
                return constraint.violation(values)
        return None

    def walk(self, choose: Callable[[str, Domain], Value], base: Config) -> dict[str, Value]:
        """{name: chosen value} of every parameter whose conditions hold."""
        params: dict[str, Value] = {}
        for name, domain in self.domains.items():
            if self.is_active(domain, params, base):
                params[name] = choose(name, domain)
        return params

    def sample(self, rng: random.Random, base: Config) -> dict[str, Value]:
        """One random point that satisfies the constraints.

        Raises:
            ConfigError: none of `MAX_DRAWS` points does.
        """
        for _ in range(MAX_DRAWS):
            params = self.walk(lambda _, domain: domain.sample(rng), base)
            if not self.violation(params, base):
                return params
        raise ConfigError(
            f"space: rules: none of {MAX_DRAWS} random points satisfies them; relax them, or narrow the space"
        )

    def is_active(self, domain: Domain, params: Mapping[str, Value], base: Config) -> bool:
        """Whether the domain's conditions hold, given the parameters chosen so far and the base config."""
        for other, allowed in domain.when.items():
            if other in self.domains and other not in params:
                return False  # the parameter that it depends on is inactive
            if other in params:
                actual = self.expand({other: params[other]}).get(other, params[other])
            else:
                changes = self.expand(params) if other in self._tied_by else {}
                actual = changes[other] if other in changes else get_path(base, other)
            if actual not in allowed:
                return False
        return True

    def base_value(self, name: str, base: Config) -> Any:
        """The base config's value of a parameter; of a tied choice the option equal to the base config, or None."""
        options = self.domains[name].options
        if not options:
            return get_path(base, name)
        return next((label for label, option in options.items() if _changes_nothing(base, option)), None)

    def problems(self, base: Config) -> list[str]:
        """Why the space cannot be searched around the base config, one line per problem."""
        found = self._constraint_problems(base)
        for name, domain in self.domains.items():
            wrong = [line for path in _paths_of(domain) or [name] for line in _path_problems(base, path)]
            if domain.options and not is_choice_of_lists(domain, name) and not _path_problems(base, name):
                wrong.append(f"{name}: is a path of the config; a choice of mappings needs a name of its own")
            for other, allowed in domain.when.items():
                wrong += self._condition_problems(base, name, other, allowed)
            active = {} if wrong else self._values_where_active(domain)
            found += wrong or [
                line
                for value in domain.corners()
                for line in self._point_problems(base, self._complete({**active, name: value}, base))
            ]
        found = found or self._combination_problems(base)
        return [f"space: {line}" for line in dict.fromkeys(found)]

    def _constraint_problems(self, base: Config) -> list[str]:
        """Constraints over paths that do not exist; a constraint that the base config violates."""
        found = [
            line for constraint in self.constraints for line in constraint.problems(lambda p: _path_problems(base, p))
        ]
        broken = None if found else self.violation({}, base)
        return [*found, f"rules: violated by the base config: {broken}; change it in `config`"] if broken else found

    def _values_where_active(self, domain: Domain) -> dict[str, Value]:
        """Parameters with which the conditions hold: the first allowed value of each, and of their own conditions."""
        values: dict[str, Value] = {}
        for other, allowed in domain.when.items():
            if other in self._tied_by:
                tied = self.domains[self._tied_by[other]]
                values |= self._values_where_active(tied)
                values[self._tied_by[other]] = next(
                    label for label, option in tied.options.items() if option.get(other) in allowed
                )
                continue
            if other in self.domains:
                values |= self._values_where_active(self.domains[other])
            values[other] = allowed[0]
        return values

    def _complete(self, fixed: Mapping[str, Value], base: Config) -> dict[str, Value]:
        """A complete point with the fixed values, close to the base config in all other parameters.

        A value may depend on others (an extractor that reads landmarks, on landmarks), so their conditions hold too.
        """

        def choose(name: str, domain: Domain) -> Value:
            value = fixed[name] if name in fixed else self.base_value(name, base)
            return value if domain.contains(value) else domain.corners()[0]

        return {**self.walk(choose, base), **fixed}

    def _point_problems(self, base: Config, point: Mapping[str, Value]) -> list[str]:
        return _config_problems(base, self.expand(point))

    def _condition_problems(self, base: Config, name: str, other: str, allowed: tuple[Value, ...]) -> list[str]:
        """Conditions on a path that does not exist, or on a value that it never takes."""
        if other in self._tied_by:
            possible = [*self.paths[other], get_path(base, other)]
            return [
                f"{name}: when: {other}: got {value!r}, which no option of {self._tied_by[other]} sets"
                for value in allowed
                if value not in possible
            ]
        if other not in self.domains:
            return _path_problems(base, other) or [
                f"{name}: when: {line}" for value in allowed for line in _config_problems(base, {other: value})
            ]
        domain = self.domains[other]
        return [
            f"{name}: when: {other}: got {value!r}, which is not in the space; choose from {domain}"
            for value in allowed
            if not domain.contains(value)
        ]

    def _combination_problems(self, base: Config) -> list[str]:
        """Values that are valid individually but not in combination, as far as random points show."""
        rng, found = random.Random(0), []
        for _ in range(VALIDATION_POINTS):
            found += self._point_problems(base, self.sample(rng, base))
        return [f"incompatible values (add a condition with `when:`): {line}" for line in found[:1]]


def parse_space(raw: Mapping[str, Any], where: str, constraints: Sequence[Any] = ()) -> Space:
    """The space of a YAML mapping.

    Raises:
        ConfigError: every malformed domain and constraint, with its path.
    """
    domains, problems = {}, []
    for name, spec in raw.items():
        try:
            domains[name] = parse_domain(spec, name)
        except ValueError as error:
            problems.append(f"{where}: space: {name}: {error}")
    parsed, malformed = parse_constraints(constraints)
    problems += [f"{where}: {line}" for line in [*malformed, *_set_twice(domains)]]
    tied_by = _tied_by(domains)
    for name in domains:
        if cycle := _condition_cycle(name, domains, tied_by):
            problems.append(f"{where}: space: {name}: circular conditions ({' -> '.join(cycle)})")
    if problems:
        raise ConfigError(problems)
    return Space(domains, parsed)


def _paths_of(domain: Domain) -> list[str]:
    """The paths that a tied choice sets."""
    return list(dict.fromkeys(path for option in domain.options.values() for path in option))


def _tied_by(domains: Mapping[str, Domain]) -> dict[str, str]:
    """{path: the tied choice that sets it}."""
    return {path: name for name, domain in domains.items() for path in _paths_of(domain)}


def _set_twice(domains: Mapping[str, Domain]) -> list[str]:
    """Paths that two entries of a space set."""
    owners: dict[str, list[str]] = {}
    for name, domain in domains.items():
        for path in _paths_of(domain) or [name]:
            owners.setdefault(path, []).append(name)
    return [
        f"space: {path}: set by both {' and '.join(names)}; keep one of them"
        for path, names in owners.items()
        if len(names) > 1
    ]


def _dependencies(domain: Domain, domains: Mapping[str, Domain], tied_by: Mapping[str, str]) -> list[str]:
    """The entries of the space on which a domain's conditions depend."""
    return [tied_by.get(other, other) for other in domain.when if other in domains or other in tied_by]


def _condition_cycle(name: str, domains: Mapping[str, Domain], tied_by: Mapping[str, str]) -> list[str]:
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


def _conditions_first(domains: Mapping[str, Domain], tied_by: Mapping[str, str]) -> dict[str, Domain]:
    ordered: dict[str, Domain] = {}

    def visit(name: str) -> None:
        for other in _dependencies(domains[name], domains, tied_by):
            visit(other)
        ordered.setdefault(name, domains[name])

    for name in domains:
        visit(name)
    return ordered


def _changes_nothing(base: Config, option: Mapping[str, Any]) -> bool:
    try:
        return override(base, option) == base
    except ConfigError:
        return False


def _path_problems(base: Config, path: str) -> list[str]:
    """What is wrong with a path, whatever its value."""
    try:
        return _config_problems(base, {path: get_path(base, path)})
    except ConfigError as error:  # raised by get_path
        return [problem.removeprefix("override: ") for problem in error.problems]


def _config_problems(base: Config, values: Mapping[str, Any]) -> list[str]:
    try:
        override(base, values)
    except ConfigError as error:
        return [problem.removeprefix("override: ") for problem in error.problems]
    return []
