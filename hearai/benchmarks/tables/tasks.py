"""The tasks of the search benchmark by table and name, and which of them serve development."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from hearai.benchmarks.curves import recorded_study
from hearai.benchmarks.simulation import Task
from hearai.benchmarks.surrogate import demo_surrogate
from hearai.benchmarks.tables import lcbench, taskset
from hearai.benchmarks.tables.noisy_curves import NoisyCurves, Table, best_epochs
from hearai.benchmarks.tables.regret import Scale, cached_scale, measure_scale
from hearai.config.study import Study
from hearai.errors import ConfigError, UserError, choices, load_failure, pick

FOLDER_VARIABLE, FOLDER = "HEARAI_REAL_DATA", "hpo_curves"
DEVELOPMENT, HELD_OUT, ALL = "development", "held-out", "all"
DEMO, LCBENCH, TASKSET = "demo", "lcbench", "taskset"
LCBENCH_DEVELOPMENT = range(0, 34, 6)
"""Places of the development tasks in the sorted list; the others are for a check afterwards. Do not tune on them."""


@dataclass(frozen=True)
class TableTask:
    """One task of a table: what an engine searches, what the simulation trains, and how a result is judged."""

    table: str
    name: str
    study: Study
    task: Task
    scale: Scale


@dataclass(frozen=True)
class _Source:
    """A table of recorded curves in the data folder."""

    names: Callable[[Path], list[str]]
    load: Callable[[Path, str], Table]
    development: Callable[[list[str]], list[str]]


SOURCES: Mapping[str, _Source] = {
    LCBENCH: _Source(lcbench.task_names, lcbench.LCBench, lambda names: [names[i] for i in LCBENCH_DEVELOPMENT]),
    TASKSET: _Source(taskset.task_names, taskset.TaskSet, lambda names: names),
}
TABLES = (LCBENCH, TASKSET, DEMO)


def data_folder(table: str) -> Path:
    """The folder of a table.

    Raises:
        UserError: HEARAI_REAL_DATA is not set, or has no such folder.
    """
    root = os.environ.get(FOLDER_VARIABLE)
    where = f"{FOLDER_VARIABLE} is not set" if not root else f"{Path(root) / FOLDER / table}: no such folder"
    if not root or not (Path(root) / FOLDER / table).is_dir():
        raise UserError(f"--table {table}: {where}; set {FOLDER_VARIABLE} to a folder that holds {FOLDER}/{table}")
    return Path(root) / FOLDER / table


def task_names(table: str, chosen: str = DEVELOPMENT) -> list[str]:
    """The tasks of a table. chosen: development, held-out, all, or names with commas between them.

    Raises:
        UserError: the table's data is missing, or a name is not one of its tasks.
    """
    if table == DEMO:
        names = development = [DEMO]
    else:
        source = pick(SOURCES, table, "table")
        names = _names(table, data_folder(table))
        development = source.development(names)
    groups = {DEVELOPMENT: development, HELD_OUT: [n for n in names if n not in development], ALL: names}
    if chosen in groups:
        if not groups[chosen]:
            raise ConfigError(f"--tasks {chosen}: {table} has none; {choices(chosen, [DEVELOPMENT, ALL])}")
        return groups[chosen]
    asked = list(dict.fromkeys(name.strip() for name in chosen.split(",") if name.strip()))
    problems = [
        f"--tasks {name}: not in {table}; {choices(name, [*groups, *names])}" for name in asked if name not in names
    ]
    if problems or not asked:
        raise ConfigError(problems or [f"--tasks {chosen!r}: no task; {choices(chosen, [*groups, *names])}"])
    return asked


def load_task(table: str, name: str, noise: float = 0.0) -> TableTask:
    """One task. Its scale is measured when it is first used (seconds) and kept in the cache.

    noise: standard deviation of a value between seeds, as a share of a regret of 1; the demo has its own.

    Raises:
        UserError: the table's data is missing, or does not hold the task.
    """
    if table == DEMO:
        return _demo_task()
    source = _read(table, name)

    def best_values(points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        return np.array(best_epochs(source.curves(points), source.lowest))

    study = source.study
    scale = cached_scale(
        f"{table}-{name}", lambda: measure_scale(study.space, study.base, source.last_values, best_values)
    )
    return TableTask(table, name, study, NoisyCurves(source, noise * scale.unit), scale)


def _read(table: str, name: str) -> Table:
    folder = data_folder(table)
    if name not in _names(table, folder):
        raise ConfigError(f"--tasks {name}: not in {table}; {choices(name, _names(table, folder))}")
    try:
        return SOURCES[table].load(folder, name)
    except ImportError as error:
        raise UserError(
            f"--table {table}: needs {error.name}, which is not installed; pip install {error.name}"
        ) from None
    except (OSError, ValueError, KeyError, BadZipFile, RuntimeError) as error:
        raise UserError(f"{folder}: task {name} cannot be read ({load_failure(error)}); copy the table again") from None


def _names(table: str, folder: Path) -> list[str]:
    try:
        return SOURCES[table].names(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: not the table {table} ({load_failure(error)}); copy the table again") from None


def _demo_task() -> TableTask:
    surrogate, study = demo_surrogate(), recorded_study()

    scale = cached_scale(
        DEMO, lambda: measure_scale(study.space, study.base, surrogate.true_values, surrogate.true_values)
    )
    return TableTask(DEMO, DEMO, study, surrogate, scale)
