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
from hearai.config.overrides import changes_nothing, get_path
from hearai.config.search_space.constraints import Constraint, parse_constraints
from hearai.config.search_space.domains import (
    Domain,
    Value,
    find_cycle,
    in_order,
    parse_domain,
    set_twice,
    tied_by,
)
from hearai.errors import ConfigError

MAX_DRAWS = 1000
"""Random points drawn before giving up on finding one that satisfies the constraints."""


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
        self.tied_by = tied_by(domains)
        self.domains = in_order(domains, self.tied_by)
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
                changes = self.expand(params) if other in self.tied_by else {}
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
