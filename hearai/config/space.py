"""Search spaces: dotted paths into the config, each with a domain of values to try.

    train_parameters.lr: {float: [1.0e-5, 1.0e-2], log: true}
    transformer.num_encoder_layers: {int: [1, 4]}
    transformer.num_attention_heads: {choice: [2, 4, 8], when: {transformer.name: sign_language_transformer}}
    train_parameters.batch_size: 32                     # one value: fixed
    backbone:                                           # a free name: each option sets several paths at once
      choice:
        resnet18: {feature_extractor.name: cnn_extractor, feature_extractor.model_path: resnet18}
        landmarks: {feature_extractor.name: gcn_extractor, train_parameters.landmarks: true}

`Space.walk` visits the domains in an order in which every condition is decided before it is asked about;
who chooses the values (Optuna, a random generator, a list) is the caller's business.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hearai.config.config import Config
from hearai.config.constraints import Rule, parse_rules
from hearai.config.domains import Domain, Value, parse_domain
from hearai.config.overrides import get_path, override
from hearai.errors import ConfigError

DRAWS = 1000
"""Random points looked at for one that keeps the rules."""
POINTS_TRIED = 200
"""Random points of a space that must give valid configs before a search begins; 0.2 ms each."""


class Space:
    """{name: Domain}, ordered so that conditions come before what depends on them; and rules over its points.

    A name is a dotted path into the config, or the free name of a tied choice.
    """

    def __init__(self, domains: Mapping[str, Domain], rules: Sequence[Rule] = ()):
        self._set_by = {path: name for name, domain in domains.items() for path in _paths_of(domain)}
        """{path: the tied choice that sets it}"""
        self.domains = _conditions_first(domains, self._set_by)
        self.rules = tuple(rules)

    @property
    def paths(self) -> dict[str, tuple[Any, ...]]:
        """{every dotted path that trials may change: values that it may take (of numbers, the ends)}."""
        plain = {name: domain.corners() for name, domain in self.domains.items() if not domain.options}
        tied: dict[str, tuple[Any, ...]] = {}
        for domain in self.domains.values():
            for option in domain.options.values():
                tied |= {path: (*tied.get(path, ()), value) for path, value in option.items()}
        return {**plain, **tied}

    def expand(self, params: Mapping[str, Value]) -> dict[str, Any]:
        """{dotted path: value} of a point: tied choices are replaced by what they set."""
        changes: dict[str, Any] = {}
        for name, value in params.items():
            options = self.domains[name].options if name in self.domains else {}
            changes |= options[value] if options else {name: value}
        return changes

    def broken_rule(self, params: Mapping[str, Value], base: Config) -> str | None:
        """The first rule that a point breaks, in words."""
        changes = self.expand(params) if self.rules else {}
        for rule in self.rules:
            values = [changes[path] if path in changes else get_path(base, path) for path in rule.paths]
            if not rule.holds(values):
                return rule.broken_with(values)
        return None

    def walk(self, choose: Callable[[str, Domain], Value], base: Config) -> dict[str, Value]:
        """{path: chosen value} of every parameter whose conditions hold."""
        params: dict[str, Value] = {}
        for path, domain in self.domains.items():
            if self.is_active(domain, params, base):
                params[path] = choose(path, domain)
        return params

    def sample(self, rng: random.Random, base: Config) -> dict[str, Value]:
        """One random point that keeps the rules.

        Raises:
            ConfigError: hardly any point keeps them.
        """
        for _ in range(DRAWS):
            params = self.walk(lambda _, domain: domain.sample(rng), base)
            if not self.broken_rule(params, base):
                return params
        raise ConfigError(f"space: rules: none of {DRAWS} random points keeps them; loosen them, or narrow the space")

    def is_active(self, domain: Domain, params: Mapping[str, Value], base: Config) -> bool:
        """Whether the conditions hold, given the parameters chosen so far and the base config."""
        for other, allowed in domain.when.items():
            if other in self.domains and other not in params:
                return False  # what it depends on is itself switched off
            if other in params:
                actual = params[other]
            else:
                changes = self.expand(params) if other in self._set_by else {}
                actual = changes[other] if other in changes else get_path(base, other)
            if actual not in allowed:
                return False
        return True

    def problems(self, base: Config) -> list[str]:
        """What the base config would not accept, one line a problem."""
        found = self._rule_problems(base)
        for path, domain in self.domains.items():
            wrong = [line for own in _paths_of(domain) or [path] for line in _refusals(base, own, None)]
            if domain.options and not _refusals(base, path, None):
                wrong.append(f"{path}: is a path of the config; a choice of mappings needs a name of its own")
            for other, allowed in domain.when.items():
                wrong += self._condition_problems(base, path, other, allowed)
            there = {} if wrong else self._where_active(domain)
            found += wrong or [
                line
                for value in domain.corners()
                for line in self._point_problems(base, self._point_around({**there, path: value}, base))
            ]
        found = found or self._misfits(base)
        return [f"space: {line}" for line in dict.fromkeys(found)]

    def _rule_problems(self, base: Config) -> list[str]:
        """Rules over paths that do not exist; a rule that the base config breaks."""
        found = [line for rule in self.rules for line in rule.problems(lambda path: _refusals(base, path, None))]
        broken = None if found else self.broken_rule({}, base)
        return [*found, f"rules: the base config breaks one: {broken}; change it in `config`"] if broken else found

    def _where_active(self, domain: Domain) -> dict[str, Value]:
        """Values under which the conditions hold: the first of each, and of what the others depend on."""
        values: dict[str, Value] = {}
        for other, allowed in domain.when.items():
            if other in self._set_by:
                tied = self.domains[self._set_by[other]]
                values |= self._where_active(tied)
                values[self._set_by[other]] = next(
                    label for label, option in tied.options.items() if option.get(other) in allowed
                )
                continue
            if other in self.domains:
                values |= self._where_active(self.domains[other])
            values[other] = allowed[0]
        return values

    def _point_around(self, fixed: Mapping[str, Value], base: Config) -> dict[str, Value]:
        """A whole point with the values that are fixed: what else is searched is near the base config.

        A value may need others beside it (landmarks, for an extractor that reads them), whose conditions it fulfils.
        """

        def choose(path: str, domain: Domain) -> Value:
            own = fixed[path] if path in fixed else self.own_value(path, base)
            return own if domain.contains(own) else domain.corners()[0]

        return {**self.walk(choose, base), **fixed}

    def own_value(self, name: str, base: Config) -> Any:
        """The base config's value of a parameter; of a tied choice the option that changes nothing, or None."""
        options = self.domains[name].options
        if not options:
            return get_path(base, name)
        return next((label for label, option in options.items() if _changes_nothing(base, option)), None)

    def _point_problems(self, base: Config, point: Mapping[str, Value]) -> list[str]:
        return _config_problems(base, self.expand(point))

    def _condition_problems(self, base: Config, path: str, other: str, allowed: tuple[Value, ...]) -> list[str]:
        """A condition on a path that does not exist, or on a value that can never be."""
        if other in self._set_by:
            may_be = [*self.paths[other], get_path(base, other)]
            return [
                f"{path}: when: {other}: got {value!r}, which no option of {self._set_by[other]} sets"
                for value in allowed
                if value not in may_be
            ]
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
            found += self._point_problems(base, self.sample(rng, base))
        return [f"values do not fit together (give a condition with `when:`): {line}" for line in found[:1]]


def parse_space(raw: Mapping[str, Any], where: str, rules: Sequence[Any] = ()) -> Space:
    """The space of a YAML mapping.

    Raises:
        ConfigError: every malformed domain and rule, with its path.
    """
    domains, problems = {}, []
    for path, spec in raw.items():
        try:
            domains[path] = parse_domain(spec)
        except ValueError as error:
            problems.append(f"{where}: space: {path}: {error}")
    parsed, wrong = parse_rules(rules)
    problems += [f"{where}: {line}" for line in [*wrong, *_set_twice(domains)]]
    set_by = {path: name for name, domain in domains.items() for path in _paths_of(domain)}
    for path in domains:
        if loop := _depends_on_itself(path, domains, set_by):
            problems.append(f"{where}: space: {path}: its conditions run in a circle ({' -> '.join(loop)})")
    if problems:
        raise ConfigError(problems)
    return Space(domains, parsed)


def _paths_of(domain: Domain) -> list[str]:
    """The paths that a tied choice sets."""
    return list(dict.fromkeys(path for option in domain.options.values() for path in option))


def _set_twice(domains: Mapping[str, Domain]) -> list[str]:
    """Paths that two entries of a space would set."""
    owners: dict[str, list[str]] = {}
    for name, domain in domains.items():
        for path in _paths_of(domain) or [name]:
            owners.setdefault(path, []).append(name)
    return [
        f"space: {path}: is set by {' and '.join(names)}; leave it to one of them"
        for path, names in owners.items()
        if len(names) > 1
    ]


def _needs(domain: Domain, domains: Mapping[str, Domain], set_by: Mapping[str, str]) -> list[str]:
    """The entries of the space that a domain's conditions look at."""
    return [set_by.get(other, other) for other in domain.when if other in domains or other in set_by]


def _depends_on_itself(path: str, domains: Mapping[str, Domain], set_by: Mapping[str, str]) -> list[str]:
    """The circle of conditions through `path`, or nothing."""
    trail, front = [path], _needs(domains[path], domains, set_by)
    seen: set[str] = set()
    while front:
        other = front.pop()
        trail.append(other)
        if other == path:
            return trail
        if other not in seen:
            seen.add(other)
            front += _needs(domains[other], domains, set_by)
    return []


def _conditions_first(domains: Mapping[str, Domain], set_by: Mapping[str, str]) -> dict[str, Domain]:
    ordered: dict[str, Domain] = {}

    def place(path: str) -> None:
        for other in _needs(domains[path], domains, set_by):
            place(other)
        ordered.setdefault(path, domains[path])

    for path in domains:
        place(path)
    return ordered


def _changes_nothing(base: Config, option: Mapping[str, Any]) -> bool:
    try:
        return override(base, option) == base
    except ConfigError:
        return False


def _refusals(base: Config, path: str, value: tuple[Value] | None) -> list[str]:
    """What the config says to the value at the path; `value` None asks about the path alone."""
    try:
        return _config_problems(base, {path: value[0] if value else get_path(base, path)})
    except ConfigError as error:  # of get_path
        return [problem.removeprefix("override: ") for problem in error.problems]


def _config_problems(base: Config, values: Mapping[str, Any]) -> list[str]:
    try:
        override(base, values)
    except ConfigError as error:
        return [problem.removeprefix("override: ") for problem in error.problems]
    return []
