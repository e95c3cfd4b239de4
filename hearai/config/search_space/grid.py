"""The sampler `grid`: every point of a space once, respecting conditions, in random order."""

import random
from collections.abc import Iterator, Mapping
from itertools import islice

from hearai.config.config import Config
from hearai.config.search_space.domains import Domain, Value
from hearai.config.search_space.space import Space

MAX_POINTS = 100_000
"""Maximum size of a grid; a larger one would take years."""


def grid_points(space: Space, base: Config, seed: int) -> Iterator[dict[str, Value]]:
    """All points of a space that has no `grid_problems`, shuffled, so that early trials already cover the space.

    Used instead of Optuna's `GridSampler`, which does not support conditions, nor stopping in the ask-and-tell
    interface.
    """
    points = list(_enumerate(space, base, list(space.domains.items()), {}))
    random.Random(seed).shuffle(points)
    return iter(points)


def grid_problems(space: Space, base: Config) -> list[str]:
    """Why the space cannot be searched as a grid: a parameter with infinitely many values, or too many points."""
    continuous = [
        f"space: {path}: the sampler grid needs discrete values; give a `step: ...` or a `choice: [...]`"
        for path, domain in space.domains.items()
        if domain.kind == "float" and domain.step is None and domain.low < domain.high
    ]
    if continuous:
        return continuous
    count = sum(1 for _ in islice(_enumerate(space, base, list(space.domains.items()), {}), MAX_POINTS + 1))
    if count > MAX_POINTS:
        return [f"space: the grid has more than {MAX_POINTS:,} points; give fewer values, or another sampler"]
    return []


def _enumerate(
    space: Space, base: Config, domains: list[tuple[str, Domain]], params: Mapping[str, Value]
) -> Iterator[dict[str, Value]]:
    """All completions of `params` with values of the remaining domains."""
    if not domains:
        if not space.violation(params, base):
            yield dict(params)
        return
    (path, domain), *remaining = domains
    if not space.is_active(domain, params, base):
        yield from _enumerate(space, base, remaining, params)
        return
    for value in domain.grid():
        yield from _enumerate(space, base, remaining, {**params, path: value})
