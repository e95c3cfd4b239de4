"""Why a space cannot be searched around a base config: every problem of its entries, conditions, values and rules."""

import itertools
import random
from collections.abc import Collection, Iterator, Mapping

from hearai.config.config import Config
from hearai.config.overrides import field_problems, get_path, override_problems, path_problems
from hearai.config.search_space.domains import Domain, Value, is_choice_of_lists, paths_of
from hearai.config.search_space.space import Space
from hearai.errors import ConfigError

VALIDATION_POINTS = 200
"""Random points of a space that must be valid configs before a search starts; 0.2 ms each."""
MAX_VARIATIONS, MAX_EXAMPLES = 2000, 64
"""Points examined for one that satisfies the rules with a given value; values of one parameter among them."""


def space_problems(
    space: Space, base: Config, *, malformed: Collection[str] = (), is_certain: bool = True
) -> list[str]:
    """Why the space cannot be searched around the base config, one line per problem.

    Args:
        malformed: names of entries that could not be read; a condition on them is not a problem of its own.
        is_certain: False if the base config has problems itself; combinations with its values say nothing then.
    """
    return _SpaceCheck(space, base).problems(malformed, is_certain)


def corner_points(space: Space, base: Config) -> Iterator[dict[str, Value]]:
    """For each value of each parameter (of ranges, the bounds) a complete point with it, close to the base config.

    Points that the rules exclude are left out.
    """
    check = _SpaceCheck(space, base)
    for name, domain in space.domains.items():
        for value in domain.corners():
            point = check._complete({**check._values_where_active(domain), name: value}, base)
            if not space.violation(point, base):
                yield point


class _SpaceCheck:
    """A space beside the base config around which it would be searched."""

    def __init__(self, space: Space, base: Config):
        self._space, self._base = space, base

    def problems(self, malformed: Collection[str], is_certain: bool) -> list[str]:
        """See `space_problems`."""
        found = self._constraint_problems(is_certain)
        wrong = {name: self._structure_problems(name, malformed) for name in self._space.domains}
        sound = self._sound_part({name for name in self._space.domains if wrong[name]} | {*malformed}, rules=not found)
        for name, domain in self._space.domains.items():
            found += wrong[name]
            if is_certain and name in sound._space.domains:
                found += [line for value in domain.corners() for line in sound._value_problems(name, value)]
            else:
                options = [pair for option in domain.options.values() for pair in option.items()]
                for path, value in options or [(name, value) for value in domain.corners()]:
                    found += field_problems(self._base, path, value)
        if not found and not malformed and is_certain:
            found = self._combination_problems()
        return [f"space: {line}" for line in dict.fromkeys(found)]

    def _constraint_problems(self, is_certain: bool) -> list[str]:
        """Constraints over paths that do not exist; a constraint that the base config violates."""
        found = [
            line
            for constraint in self._space.constraints
            for line in constraint.problems(lambda p: path_problems(self._base, p))
        ]
        broken = None if found or not is_certain else self._space.violation({}, self._base)
        return [*found, f"rules: violated by the base config: {broken}; change it in `config`"] if broken else found

    def _structure_problems(self, name: str, malformed: Collection[str]) -> list[str]:
        """What is wrong with an entry, whatever its values: its paths, its name, its conditions."""
        domain = self._space.domains[name]
        wrong = [line for path in paths_of(domain) or [name] for line in path_problems(self._base, path)]
        if domain.options and not is_choice_of_lists(domain, name) and not path_problems(self._base, name):
            wrong.append(f"{name}: is a path of the config; a choice of mappings needs a name of its own")
        for other, allowed in domain.when.items():
            if other not in malformed:
                wrong += self._condition_problems(name, other, allowed)
        return wrong

    def _sound_part(self, broken: set[str], *, rules: bool) -> "_SpaceCheck":
        """The check of the space without broken entries and those whose conditions depend on one."""
        domains = dict(self._space.domains)
        while lost := [
            n for n, d in domains.items() if n in broken or broken & {self._space.tied_by.get(o, o) for o in d.when}
        ]:
            broken |= set(lost)
            domains = {name: domain for name, domain in domains.items() if name not in broken}
        return _SpaceCheck(Space(domains, self._space.constraints if rules else ()), self._base)

    def _values_where_active(self, domain: Domain) -> dict[str, Value]:
        """Parameters with which the conditions hold: the first allowed value of each, and of their own conditions."""
        values: dict[str, Value] = {}
        for other, allowed in domain.when.items():
            if other in self._space.tied_by:
                tied = self._space.domains[self._space.tied_by[other]]
                values |= self._values_where_active(tied)
                values[self._space.tied_by[other]] = next(
                    label for label, option in tied.options.items() if option.get(other) in allowed
                )
                continue
            if other in self._space.domains:
                values |= self._values_where_active(self._space.domains[other])
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
            value = given[name] if name in given else self._space.base_value(name, self._base)
            return value if domain.contains(value) else domain.corners()[0]

        return {**self._space.walk(choose, self._base), **fixed}

    def _value_problems(self, name: str, value: Value) -> list[str]:
        """Why a value can never be used. A point that a rule excludes says nothing; another one is examined instead."""
        fixed = {**self._values_where_active(self._space.domains[name]), name: value}
        point = self._complete(fixed, self._base)
        found = self._point_problems(point)
        if not found or not (broken := self._space.violation(point, self._base)):
            return found
        allowed = False
        for other in self._variations(fixed, self._base):
            if not self._space.violation(other, self._base):
                allowed = True
                if not self._point_problems(other):
                    return []
        if allowed:
            return found
        is_range = self._space.domains[name].kind != "choice"
        return (
            [] if is_range else [f"{name}: {value}: excluded by the rules in every combination ({broken}); remove it"]
        )

    def _variations(self, fixed: Mapping[str, Value], base: Config) -> Iterator[dict[str, Value]]:
        """Complete points with the fixed values and every combination of the parameters that rules are about."""
        paths = {path for constraint in self._space.constraints for path in constraint.paths}
        names = dict.fromkeys(self._space.tied_by.get(path, path) for path in sorted(paths))
        free = [name for name in names if name in self._space.domains and name not in fixed]
        values = [_examples(self._space.domains[name]) for name in free]
        for combination in itertools.islice(itertools.product(*values), MAX_VARIATIONS):
            yield self._complete(fixed, self._base, dict(zip(free, combination, strict=True)))

    def _point_problems(self, point: Mapping[str, Value]) -> list[str]:
        return override_problems(self._base, self._space.expand(point))

    def _condition_problems(self, name: str, other: str, allowed: tuple[Value, ...]) -> list[str]:
        """Conditions on a path that does not exist, or on a value that it never takes."""
        if other in self._space.tied_by:
            possible = [*self._space.paths[other], get_path(self._base, other)]
            return [
                f"{name}: when: {other}: got {value!r}, which no option of {self._space.tied_by[other]} sets"
                for value in allowed
                if value not in possible
            ]
        if other not in self._space.domains:
            lines = path_problems(self._base, other) or [
                line for value in allowed for line in override_problems(self._base, {other: value})
            ]
            return [f"{name}: when: {line}" for line in lines]
        domain = self._space.domains[other]
        return [
            f"{name}: when: {other}: got {value!r}, which is not in the space; choose from {domain}"
            for value in allowed
            if not domain.contains(value)
        ]

    def _combination_problems(self) -> list[str]:
        """Values that are valid individually but not in combination, as far as random points show."""
        if len(self._space.domains) == 1 and not self._space.constraints:
            return []
        rng, found = random.Random(0), []
        try:
            for _ in range(VALIDATION_POINTS):
                found += self._point_problems(self._space.sample(rng, self._base))
        except ConfigError as error:
            return [line.removeprefix("space: ") for line in error.problems]
        return [f"incompatible values (add a condition with `when:`): {line}" for line in found[:1]]


def _examples(domain: Domain) -> tuple[Value, ...]:
    """Values of a domain to try: all of a short list, else some with both bounds."""
    values = domain.corners() if domain.kind == "float" and domain.step is None else domain.grid()
    step = -(-len(values) // MAX_EXAMPLES)
    return tuple(dict.fromkeys((*values[::step], values[-1])))
