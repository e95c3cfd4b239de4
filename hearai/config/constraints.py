"""Rules that the points of a search space keep: a short list by name, as a language of expressions would be one more.

rules:
  - divides: [transformer.output_size, transformer.num_attention_heads]    # the second divides the first
  - at_most: [transformer.output_size, transformer.feedforward_size]       # the first is no larger
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearai.errors import choices

RULES: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "divides": (lambda whole, part: whole % part == 0, "{1} must divide {0}"),
    "at_most": (lambda small, large: small <= large, "{0} must be at most {1}"),
}
"""{name: (whether it holds of two numbers, what it asks for)}"""


@dataclass(frozen=True)
class Rule:
    """One rule over two numbers of a config."""

    name: str
    paths: tuple[str, str]

    def holds(self, values: Sequence[Any]) -> bool:
        """Whether the values of its paths keep it; None (not set) breaks none."""
        return None in values or RULES[self.name][0](*values)

    def broken_with(self, values: Sequence[Any]) -> str:
        """What is wrong with the values."""
        named = [f"{path} ({value})" for path, value in zip(self.paths, values, strict=True)]
        return f"{self.name}: {RULES[self.name][1].format(*named)}"

    def problems(self, refusals: Callable[[str], list[str]]) -> list[str]:
        """Paths that do not exist, one line each; `refusals` says what is wrong with a path."""
        return [f"rules: {self.name}: {line}" for path in self.paths for line in refusals(path)]


def parse_rules(raw: Sequence[Any]) -> tuple[list[Rule], list[str]]:
    """The rules of a study's YAML, and what is wrong with those that are none."""
    rules, problems = [], []
    for entry in raw:
        if not isinstance(entry, Mapping) or len(entry) != 1:
            known = ", ".join(RULES)
            problems.append(f"rules: got {entry!r}; give one of {known} with two paths, e.g. divides: [a.b, c.d]")
            continue
        ((name, paths),) = entry.items()
        if name not in RULES:
            problems.append(
                f"rules: {name}: unknown rule; {choices(str(name), RULES)} (expressions are not understood)"
            )
        elif not isinstance(paths, (list, tuple)) or len(paths) != 2 or not all(isinstance(p, str) for p in paths):
            problems.append(f"rules: {name}: got {paths!r}; give two dotted paths")
        else:
            rules.append(Rule(name, (paths[0], paths[1])))
    return rules, problems
