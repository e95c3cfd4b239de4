"""Constraints on the points of a search space (`rules` in YAML). They are a fixed list, not an expression language.

rules:
  - divides: [transformer.output_size, transformer.num_attention_heads]    # the second divides the first
  - at_most: [transformer.output_size, transformer.feedforward_size]       # the first is at most the second
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearai.errors import choices

CONSTRAINTS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "divides": (lambda number, divisor: number % divisor == 0, "{1} must divide {0}"),
    "at_most": (lambda number, limit: number <= limit, "{0} must be at most {1}"),
}
"""{name: (predicate of two numbers, template of the message)}."""


@dataclass(frozen=True)
class Constraint:
    """A named relation between two numbers of a config."""

    name: str
    paths: tuple[str, str]

    def is_satisfied(self, values: Sequence[Any]) -> bool:
        """Whether the values at its paths satisfy it; None (not set) satisfies any."""
        return None in values or CONSTRAINTS[self.name][0](*values)

    def violation(self, values: Sequence[Any]) -> str:
        """A message that names the values which violate it."""
        operands = [f"{path} ({value})" for path, value in zip(self.paths, values, strict=True)]
        return f"{self.name}: {CONSTRAINTS[self.name][1].format(*operands)}"

    def problems(self, path_problems: Callable[[str], list[str]]) -> list[str]:
        """One line per path that does not exist. path_problems: what is wrong with a path."""
        return [f"rules: {self.name}: {line}" for path in self.paths for line in path_problems(path)]


def parse_constraints(raw: Sequence[Any]) -> tuple[list[Constraint], list[str]]:
    """The constraints in a study's YAML, and a message for each malformed one."""
    constraints, problems = [], []
    for entry in raw:
        if not isinstance(entry, Mapping) or len(entry) != 1:
            known = ", ".join(CONSTRAINTS)
            problems.append(f"rules: got {entry!r}; give one of {known} with two paths, e.g. divides: [a.b, c.d]")
            continue
        ((name, paths),) = entry.items()
        if name not in CONSTRAINTS:
            problems.append(
                f"rules: {name}: unknown rule; {choices(str(name), CONSTRAINTS)} (expressions are not supported)"
            )
        elif not isinstance(paths, (list, tuple)) or len(paths) != 2 or not all(isinstance(p, str) for p in paths):
            problems.append(f"rules: {name}: got {paths!r}; give two dotted paths")
        else:
            constraints.append(Constraint(name, (paths[0], paths[1])))
    return constraints, problems
