"""How the entries of a search space depend on each other: paths of tied choices, and the order of conditions."""

from collections.abc import Mapping

from hearai.config.domains import Domain


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


def condition_cycle(name: str, domains: Mapping[str, Domain], tied_by: Mapping[str, str]) -> list[str]:
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


def conditions_first(domains: Mapping[str, Domain], tied_by: Mapping[str, str]) -> dict[str, Domain]:
    ordered: dict[str, Domain] = {}

    def visit(name: str) -> None:
        for other in _dependencies(domains[name], domains, tied_by):
            visit(other)
        ordered.setdefault(name, domains[name])

    for name in domains:
        visit(name)
    return ordered
