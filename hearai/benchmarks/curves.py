"""Recorded learning curves of the demo task: the table that the surrogate is fitted to.

`curves.yaml` is the study from which they were recorded. Two thirds of the configs were drawn from the whole space; the
rest lie near the best of the earlier ones, where a search spends its trials and the surrogate must be accurate.
"""

import csv
import json
import math
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearai.config.search_space.domains import Domain, Value
from hearai.config.study import Study
from hearai.config.yaml_io import read_yaml
from hearai.errors import UserError
from hearai.search.plan import make_plan, prepare_inputs
from hearai.training.fit import fit
from hearai.training.outputs.layout import METRICS_FILE
from hearai.training.runtime import LocalRuntime

TABLE = Path(__file__).with_name("curves.csv")
STUDY = Path(__file__).with_name("curves.yaml")
BASE_SEEDS = 3
"""Seeds with which the base config is recorded."""
ELITE, STEP = 15, 0.15
"""The configs near which further ones are drawn, and how far, as a share of each range."""


@dataclass(frozen=True)
class Curve:
    """One recorded run."""

    params: Mapping[str, Value]
    seed: int
    seconds: float
    """CPU time of the run, on one thread."""
    values: Sequence[float]
    """Validation macro-F1 after each epoch."""

    @property
    def best(self) -> float:
        """Macro-F1 of the best epoch."""
        return max(self.values)


def recorded_study() -> Study:
    """The study whose runs are in the table."""
    return Study.from_dict(read_yaml(STUDY), str(STUDY))


def read_curves(path: Path = TABLE) -> list[Curve]:
    """The runs of a table.

    Raises:
        UserError: the file is not such a table.
    """
    study = recorded_study()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            curves = [_curve(study, row) for row in csv.DictReader(file)]
        if not curves:
            raise ValueError("no rows")
        return curves
    except (csv.Error, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a table of recorded curves ({type(error).__name__}: {error})") from None


def _curve(study: Study, row: Mapping[str, str]) -> Curve:
    return Curve(
        {path: _value(domain, row[path]) for path, domain in study.space.domains.items()},
        int(row["seed"]),
        float(row["seconds"]),
        [float(value) for name, value in row.items() if name.startswith("epoch")],
    )


def _value(domain: Domain, text: str) -> Value:
    return int(text) if domain.kind == "int" or isinstance(domain.corners()[0], int) else float(text)


def record_curves(study: Study, folder: Path, path: Path, drawn: int, near: int) -> Iterator[Curve]:
    """Runs the base config with several seeds, then `drawn` random configs, then `near` ones close to the best.

    Each run is appended to the table at `path` when it ends, after about 12 s on one core.
    """
    plan = make_plan(study, folder)
    folder.mkdir(parents=True, exist_ok=True)
    prepare_inputs(plan, folder)
    study, rng = plan.study, random.Random(1)
    recorded: list[Curve] = []
    paths, epochs = list(study.space.domains), range(1, study.max_epochs + 1)
    _append(path, ["kind", "seed", "seconds", *paths, *(f"epoch{epoch}" for epoch in epochs)])
    for i in range(BASE_SEEDS + drawn + near):
        if i < BASE_SEEDS:
            kind, params, seed = "base", study.base_params(), i
        elif i < BASE_SEEDS + drawn:
            kind, params, seed = "drawn", study.space.sample(rng, study.base), 0
        else:
            best = sorted(recorded, key=lambda curve: -curve.best)[:ELITE]
            kind, params, seed = "near", _near(study, rng.choice(best).params, rng), rng.choice((0, 0, 0, 0, 1, 2))
        curve = _run(study, params, seed)
        recorded.append(curve)
        values = [f"{value:.4f}" for value in curve.values]
        _append(path, [kind, seed, f"{curve.seconds:.2f}", *(params[name] for name in paths), *values])
        yield curve


def _run(study: Study, params: Mapping[str, Value], seed: int) -> Curve:
    with tempfile.TemporaryDirectory(prefix="hearai-curve-") as folder:
        started = time.process_time()
        fit(study.config_of(params, seed), LocalRuntime("cpu", folder))
        seconds = time.process_time() - started
        lines = (Path(folder) / METRICS_FILE).read_text().splitlines()
    return Curve(params, seed, seconds, [json.loads(line)["val/macro_f1"] for line in lines])


def _near(study: Study, params: Mapping[str, Value], rng: random.Random) -> dict[str, Value]:
    """A point near another: numbers are moved by about `STEP` of their range, some choices are redrawn."""

    def choose(path: str, domain: Domain) -> Value:
        if rng.random() < 0.3:
            return params[path]
        if domain.kind == "choice":
            return params[path] if rng.random() < 0.6 else domain.sample(rng)
        return moved_number(domain, params[path], STEP, rng)

    return study.space.walk(choose, study.base)


def moved_number(domain: Domain, value: Value, step: float, rng: random.Random) -> Value:
    """A number near another one of its domain, on its (log) scale.

    step: standard deviation of the move, as a share of the range.
    """
    assert isinstance(value, int | float)
    scale, unscale = (math.log, math.exp) if domain.log else (float, float)
    low, high = scale(domain.low), scale(domain.high)
    moved = unscale(min(max(rng.gauss(scale(value), step * (high - low)), low), high))
    if domain.step:
        moved = domain.low + domain.step * round((moved - domain.low) / domain.step)
    moved = min(max(moved, domain.low), domain.high)
    return round(moved) if domain.kind == "int" else moved


def _append(path: Path, row: Sequence[object]) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerow(row)
