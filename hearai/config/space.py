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

import itertools
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from hearai.config.config import Config
from hearai.config.constraints import Constraint, parse_constraints
from hearai.config.domains import (
    Domain,
    Value,
    find_cycle,
    in_order,
    is_choice_of_lists,
    parse_domain,
    paths_of,
    set_twice,
    tied_by,
)
from hearai.config.overrides import changes_nothing, field_problems, get_path, override_problems, path_problems
from hearai.errors import ConfigError

MAX_DRAWS = 1000
"""Random points drawn before giving up on finding one that satisfies the constraints."""
VALIDATION_POINTS = 200
"""Random points of a space that must be valid configs before a search starts; 0.2 ms each."""
MAX_VARIATIONS, MAX_EXAMPLES = 2000, 64
"""Points examined for one that satisfies the rules with a given value; values of one parameter among them."""


class Space:
    """{name: Domain}, ordered so that conditions come before the domains that depend on them; and constraints.

    A name is a dotted path into the config, or the free name of a tied choice.
    """

    def __init__(
        self,
        domains: Mapping[str, Domain],
        constraints: Sequence[Constraint] = (),
        former_options: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    ):
        """former_options: {tied choice: {label: values}} of options that only earlier trials have."""
        self.former_options = former_options or {}
        self._tied_by = tied_by(domains)
        self.domains = in_order(domains, self._tied_by)
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
            known = {**self.former_options.get(name, {}), **options}
            changes |= known[str(value)] if known else {name: value}
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
        return next((label for label, option in options.items() if changes_nothing(base, option)), None)

    def problems(self, base: Config, *, malformed: Collection[str] = (), is_certain: bool = True) -> list[str]:
        """Why the space cannot be searched around the base config, one line per problem.

        Args:
            malformed: names of entries that could not be read; a condition on them is not a problem of its own.
            is_certain: False if the base config has problems itself; combinations with its values say nothing then.
        """
        found = self._constraint_problems(base, is_certain)
        wrong = {name: self._structure_problems(base, name, malformed) for name in self.domains}
        sound = self._sound_part({name for name in self.domains if wrong[name]} | {*malformed}, rules=not found)
        for name, domain in self.domains.items():
            found += wrong[name]
            if is_certain and name in sound.domains:
                found += [line for value in domain.corners() for line in sound._value_problems(base, name, value)]
            else:
                options = [pair for option in domain.options.values() for pair in option.items()]
                for path, value in options or [(name, value) for value in domain.corners()]:
                    found += field_problems(base, path, value)
        if not found and not malformed and is_certain:
            found = self._combination_problems(base)
        return [f"space: {line}" for line in dict.fromkeys(found)]

    def _constraint_problems(self, base: Config, is_certain: bool) -> list[str]:
        """Constraints over paths that do not exist; a constraint that the base config violates."""
        found = [
            line for constraint in self.constraints for line in constraint.problems(lambda p: path_problems(base, p))
        ]
        broken = None if found or not is_certain else self.violation({}, base)
        return [*found, f"rules: violated by the base config: {broken}; change it in `config`"] if broken else found

    def _structure_problems(self, base: Config, name: str, malformed: Collection[str]) -> list[str]:
        """What is wrong with an entry, whatever its values: its paths, its name, its conditions."""
        domain = self.domains[name]
        wrong = [line for path in paths_of(domain) or [name] for line in path_problems(base, path)]
        if domain.options and not is_choice_of_lists(domain, name) and not path_problems(base, name):
            wrong.append(f"{name}: is a path of the config; a choice of mappings needs a name of its own")
        for other, allowed in domain.when.items():
            if other not in malformed:
                wrong += self._condition_problems(base, name, other, allowed)
        return wrong

    def _sound_part(self, broken: set[str], *, rules: bool) -> "Space":
        """The space without broken entries and those whose conditions depend on one."""
        domains = dict(self.domains)
        while lost := [
            n for n, d in domains.items() if n in broken or broken & {self._tied_by.get(o, o) for o in d.when}
        ]:
            broken |= set(lost)
            domains = {name: domain for name, domain in domains.items() if name not in broken}
        return Space(domains, self.constraints if rules else ())

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

    def _complete(
        self, fixed: Mapping[str, Value], base: Config, preferred: Mapping[str, Value] | None = None
    ) -> dict[str, Value]:
        """A complete point with the fixed values, and the preferred ones of parameters that exist then.

        All other parameters are close to the base config. A value may depend on others (an extractor that reads
        landmarks, on landmarks), so their conditions hold too.
        """
        given = {**(preferred or {}), **fixed}

        def choose(name: str, domain: Domain) -> Value:
            value = given[name] if name in given else self.base_value(name, base)
            return value if domain.contains(value) else domain.corners()[0]

        return {**self.walk(choose, base), **fixed}

    def _value_problems(self, base: Config, name: str, value: Value) -> list[str]:
        """Why a value can never be used. A point that a rule excludes says nothing; another one is examined instead."""
        fixed = {**self._values_where_active(self.domains[name]), name: value}
        point = self._complete(fixed, base)
        found = self._point_problems(base, point)
        if not found or not (broken := self.violation(point, base)):
            return found
        allowed = False
        for other in self._variations(fixed, base):
            if not self.violation(other, base):
                allowed = True
                if not self._point_problems(base, other):
                    return []
        if allowed:
            return found
        is_range = self.domains[name].kind != "choice"
        return (
            [] if is_range else [f"{name}: {value}: excluded by the rules in every combination ({broken}); remove it"]
        )

    def _variations(self, fixed: Mapping[str, Value], base: Config) -> Iterator[dict[str, Value]]:
        """Complete points with the fixed values and every combination of the parameters that rules are about."""
        paths = {path for constraint in self.constraints for path in constraint.paths}
        names = dict.fromkeys(self._tied_by.get(path, path) for path in sorted(paths))
        free = [name for name in names if name in self.domains and name not in fixed]
        values = [_examples(self.domains[name]) for name in free]
        for combination in itertools.islice(itertools.product(*values), MAX_VARIATIONS):
            yield self._complete(fixed, base, dict(zip(free, combination, strict=True)))

    def _point_problems(self, base: Config, point: Mapping[str, Value]) -> list[str]:
        return override_problems(base, self.expand(point))

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
            lines = path_problems(base, other) or [
                line for value in allowed for line in override_problems(base, {other: value})
            ]
            return [f"{name}: when: {line}" for line in lines]
        domain = self.domains[other]
        return [
            f"{name}: when: {other}: got {value!r}, which is not in the space; choose from {domain}"
            for value in allowed
            if not domain.contains(value)
        ]

    def _combination_problems(self, base: Config) -> list[str]:
        """Values that are valid individually but not in combination, as far as random points show."""
        if len(self.domains) == 1 and not self.constraints:
            return []
        rng, found = random.Random(0), []
        try:
            for _ in range(VALIDATION_POINTS):
                found += self._point_problems(base, self.sample(rng, base))
        except ConfigError as error:
            return [line.removeprefix("space: ") for line in error.problems]
        return [f"incompatible values (add a condition with `when:`): {line}" for line in found[:1]]


def parse_space(raw: Mapping[str, Any], where: str, constraints: Sequence[Any] = ()) -> Space:
    """The space of a YAML mapping.

    Raises:
        ConfigError: every malformed domain and constraint, with its path.
    """
    space, _, problems = read_space(raw, constraints)
    if problems:
        raise ConfigError([f"{where}: {problem}" for problem in problems])
    return space


def read_space(raw: Mapping[str, Any], constraints: Sequence[Any] = ()) -> tuple[Space, set[str], list[str]]:
    """(the well-formed part of a YAML mapping, the names of the other entries, what is wrong with them)."""
    domains, problems = {}, []
    for name, spec in raw.items():
        try:
            domains[name] = parse_domain(spec, name)
        except ValueError as error:
            problems.append(f"space: {name}: {error}")
    parsed, malformed = parse_constraints(constraints)
    problems += [*malformed, *set_twice(domains)]
    tied = tied_by(domains)
    cycles = {name: cycle for name in domains if (cycle := find_cycle(name, domains, tied))}
    problems += [f"space: {name}: circular conditions ({' -> '.join(cycle)})" for name, cycle in cycles.items()]
    sound = {name: domain for name, domain in domains.items() if name not in cycles}
    return Space(sound, parsed), set(raw) - set(sound), problems


def _examples(domain: Domain) -> tuple[Value, ...]:
    """Values of a domain to try: all of a short list, else some with both bounds."""
    values = domain.corners() if domain.kind == "float" and domain.step is None else domain.grid()
    step = -(-len(values) // MAX_EXAMPLES)
    return tuple(dict.fromkeys((*values[::step], values[-1])))
