"""The sampler `grid`: every point of a space once, conditions honoured, in an order that spreads."""

import random
from collections.abc import Iterator, Mapping
from itertools import islice

from hearai.config.config import Config
from hearai.config.domains import Domain, Value
from hearai.config.space import Space

LARGEST = 100_000
"""Points of a grid; more could not be tried in years."""


def grid_points(space: Space, base: Config, seed: int) -> Iterator[dict[str, Value]]:
    """All points of a space without `grid_problems`, shuffled, so that the first few already cover it.

    Optuna's `GridSampler` knows neither conditions nor, under ask and tell, how to end.
    """
    points = list(_walk(space, base, list(space.domains.items()), {}))
    random.Random(seed).shuffle(points)
    return iter(points)


def grid_problems(space: Space, base: Config) -> list[str]:
    """Why the space is no grid: parameters without a finite number of values, or too many points."""
    endless = [
        f"space: {path}: the sampler grid needs steps here; give `step: ...`, or a `choice: [...]`"
        for path, domain in space.domains.items()
        if domain.kind == "float" and domain.step is None and domain.low < domain.high
    ]
    if endless:
        return endless
    counted = sum(1 for _ in islice(_walk(space, base, list(space.domains.items()), {}), LARGEST + 1))
    if counted > LARGEST:
        return [f"space: the grid would have more than {LARGEST:,} points; give fewer values, or another sampler"]
    return []


def _walk(
    space: Space, base: Config, rest: list[tuple[str, Domain]], params: Mapping[str, Value]
) -> Iterator[dict[str, Value]]:
    """Every way to go on from the parameters chosen so far."""
    if not rest:
        if not space.broken_rule(params, base):
            yield dict(params)
        return
    (path, domain), *later = rest
    if not space.is_active(domain, params, base):
        yield from _walk(space, base, later, params)
        return
    for value in domain.grid():
        yield from _walk(space, base, later, {**params, path: value})
