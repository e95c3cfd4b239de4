"""The scale of a task: 0 is the best value known, 1 that of a median random config."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from hearai.benchmarks.curves import moved_number
from hearai.config.config import Config
from hearai.config.search_space.domains import Domain, Value
from hearai.config.search_space.space import Space
from hearai.files import atomic_write_text, cache_folder

Point = Mapping[str, Value]
Values = Callable[[Sequence[Point]], np.ndarray]

SCREENED, MEDIAN_OF = 20_000, 1_000
"""Random configs among which the climb to the best one starts, and of which the median is taken."""
ROUNDS, PARENTS, CHILDREN, FINALISTS = 12, 25, 40, 200
"""The climb: in each round the best points get children nearby; in the end the best have their curves computed."""
STEP = 0.15
"""Of the first round, as a share of each range; it shrinks by a quarter from round to round."""


@dataclass(frozen=True)
class Scale:
    """Two values of a task that regrets are measured against."""

    best: float
    median: float

    def regret(self, value: float) -> float:
        """0 = the best known, 1 = a median random config; slightly below 0 if a search has found a better one."""
        return (self.best - value) / self.unit

    @property
    def unit(self) -> float:
        """A regret of 1 in units of the objective."""
        return self.best - self.median


def measure_scale(space: Space, base: Config, last_values: Values, best_values: Values) -> Scale:
    """Searches a table itself for its best value: a random screening, then a climb from the best points.

    Args:
        last_values: the last epoch of each point, by which the climb is led; cheap.
        best_values: the best epoch of each point.
    """
    rng = random.Random(0)
    points: list[Point] = [space.sample(rng, base) for _ in range(SCREENED)]
    median = float(np.median(best_values(points[:MEDIAN_OF])))
    values = last_values(points)
    kept = [(float(values[i]), points[i]) for i in np.argsort(-values)[:FINALISTS]]
    for number in range(ROUNDS):
        step = STEP * 0.75**number
        children = [
            {name: near(domain, point[name], step, rng) for name, domain in space.domains.items()}
            for _, point in kept[:PARENTS]
            for _ in range(CHILDREN)
        ]
        kept += zip(map(float, last_values(children)), children, strict=True)
        kept = sorted(kept, key=lambda pair: -pair[0])[:FINALISTS]
    return Scale(float(max(best_values([point for _, point in kept]))), median)


def near(domain: Domain, value: Value, step: float, rng: random.Random) -> Value:
    """A value near another one of its domain, on its (log) scale; one in two stays as it is."""
    if rng.random() < 0.5:
        return value
    if domain.kind == "choice":
        return domain.sample(rng) if rng.random() < step else value
    return moved_number(domain, value, step, rng)


def cached_scale(name: str, measure: Callable[[], Scale]) -> Scale:
    """The scale of a task from the cache, measured if it is not there (seconds)."""
    file = cache_folder() / "benchmark-scales" / f"{name}.json"
    try:
        return Scale(**json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        scale = measure()
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(file, json.dumps(asdict(scale)))
        return scale
