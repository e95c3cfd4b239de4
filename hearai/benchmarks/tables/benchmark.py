"""The command `benchmark.py search` on tables: checks what was asked for, runs the searches, writes what they show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hearai.benchmarks.engine_comparison import ENGINES, TABLE_ENGINES, unavailable
from hearai.benchmarks.surrogate import held_out_error
from hearai.benchmarks.tables.comparison import summarise_regrets
from hearai.benchmarks.tables.outputs import plot_regrets, regret_table, save_json, task_table
from hearai.benchmarks.tables.searches import Result, Search, read_results, run_searches, with_choices
from hearai.benchmarks.tables.tasks import ALL, DEMO, DEVELOPMENT, HELD_OUT, TABLES, task_names
from hearai.errors import ConfigError, choices


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    tables: Sequence[str]
    tasks: str
    """development, held-out, all, or names with commas between them."""
    engines: Sequence[str] | None
    """None: all that can run here."""
    seeds: Sequence[int]
    workers: int
    budget: int
    """Complete trainings of each search."""
    noise: float
    """Standard deviation of a value between seeds, as a share of a regret of 1."""
    processes: int
    peer_python: Path | None
    out: Path


def compare_on_tables(options: Options, print_line: Callable[[str], object]) -> None:
    """Runs the searches that the log does not have, and prints and saves the comparison.

    Raises:
        UserError: an option, or missing data.
    """
    tasks = _tasks(options)
    engines = _engines(options, print_line)
    searches = [
        Search(table, task, engine, seed, options.workers, options.budget, options.noise)
        for seed in options.seeds
        for table, task in tasks
        for engine in engines
    ]
    if DEMO in options.tables:
        torch.set_num_threads(1)  # its matrices are small: on a busy machine more threads wait for each other
        error, ranks = held_out_error()
        print_line(f"demo: the surrogate's error is {error:.4f}, its rank correlation {ranks:.2f}, on held-out runs")
    name = "-".join(options.tables)
    log = options.out / f"search-{name}.jsonl"
    known = {result.search for result in read_results(log)}
    if repeated := sum(search in known for search in searches):
        print_line(f"{repeated} of {len(searches)} searches are taken from {log}; delete it to repeat them")
    results: list[Result] = []
    for result in run_searches(searches, log, processes=options.processes, peer_python=options.peer_python):
        results.append(result)
        if result.search not in known:
            at = f"{result.search.task}, {result.search.engine}, seed {result.search.seed}"
            print_line(f"{len(results)}/{len(searches)} {at}: {result.at(options.budget):.3f}")
    _write(options, name, len(tasks), results, print_line)


def _write(
    options: Options, name: str, tasks: int, results: Sequence[Result], print_line: Callable[[str], object]
) -> None:
    results = with_choices(results)
    summaries = summarise_regrets(results, options.budget)
    counts = [(tasks, "task"), (len(options.seeds), "seed"), (options.workers, "worker")]
    title = ", ".join(f"{count} {what}" if count == 1 else f"{count} {what}s" for count, what in counts)
    title = f"{name}: {title}"
    print_line(regret_table(summaries, title=title))
    print_line(task_table(summaries))
    stem = options.out / f"search-{name}-{options.budget}"
    setting: dict[str, Any] = {"tables": list(options.tables), "tasks": options.tasks, "seeds": list(options.seeds)}
    setting |= {"workers": options.workers, "budget": options.budget, "noise": options.noise}
    save_json(stem.with_suffix(".json"), summaries, results, setting)
    plot_regrets(stem.with_suffix(".png"), summaries, results, title)
    print_line(f"figures: {stem}.json, {stem}.png")


def _tasks(options: Options) -> list[tuple[str, str]]:
    """(table, task) of everything asked for."""
    tables = list(dict.fromkeys(options.tables))
    if unknown := [table for table in tables if table not in TABLES]:
        raise ConfigError([f"--table {table}: unknown table; {choices(table, TABLES)}" for table in unknown])
    if options.noise and DEMO in tables:
        raise ConfigError(
            f"--noise {options.noise:g}: not allowed with --table {DEMO}, whose runs have their own noise"
        )
    if len(tables) > 1 and options.tasks not in (DEVELOPMENT, HELD_OUT, ALL):
        raise ConfigError(f"--tasks {options.tasks}: names of tasks need a single --table; give one")
    return [(table, task) for table in tables for task in task_names(table, options.tasks)]


def _engines(options: Options, print_line: Callable[[str], object]) -> list[str]:
    """The engines to run: those asked for, or all that can run here; the others are named with the reason."""
    asked = list(dict.fromkeys(options.engines or TABLE_ENGINES))
    problems = [f"--engines {name}: unknown engine; {choices(name, ENGINES)}" for name in asked if name not in ENGINES]
    if problems:
        raise ConfigError(problems)
    reasons = {name: unavailable(name, options.peer_python) for name in asked}
    for name, reason in reasons.items():
        if reason and not options.engines:
            print_line(f"skipped: {name} ({reason})")
    if options.engines and any(reasons.values()):
        raise ConfigError([f"--engines {name}: {reason}" for name, reason in reasons.items() if reason])
    return [name for name, reason in reasons.items() if not reason]
