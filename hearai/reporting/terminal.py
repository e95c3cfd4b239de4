"""What a person reads in the terminal after a search, at 80 columns."""

import textwrap
from collections.abc import Mapping
from typing import Any

from hearai.reporting.record import Record
from hearai.reporting.tables import duration, head_rows, score, train_command
from hearai.reporting.verdict import headline

COLUMNS = 80
NAME = 34
"""Width of the first column."""
FILES = ("report.html", "trials.csv", "summary.json", "best.yaml", "best")


def terminal_text(record: Record, summary: Mapping[str, Any]) -> str:
    """Verdict, scores, counts, times, files, and the command that runs the winner again."""
    parts = [
        [f"{summary['study']}: {_counts(summary)}"],
        textwrap.wrap(headline(summary), COLUMNS - 2),
        _validation(summary),
        _finalists(summary),
        _test(summary),
        _cost(summary),
        _files(record),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _counts(summary: Mapping[str, Any]) -> str:
    trials, diverged = summary["trials"], summary["diverged"]
    ended = f"{trials['complete']} complete, {trials['pruned']} stopped early, {trials['failed']} failed"
    return f"{trials['total']} trials ({ended}{f'; {diverged} diverged' if diverged else ''})"


def _validation(summary: Mapping[str, Any]) -> list[str]:
    best, base = summary["best"], summary["baseline"]
    role = "winner" if summary["test"] else "best so far"
    rows = [
        (f"{name} (trial {trial['trial']})", trial)
        for name, trial in ((role, best), ("base config", base))
        if trial and trial["value"] is not None
    ]
    lines = [f"  {name:<{NAME}}{score(trial['value']):>8}   epoch {trial['epoch']}" for name, trial in rows]
    return ["validation macro-F1 in the search, best epoch", *lines] if lines else []


def _finalists(summary: Mapping[str, Any]) -> list[str]:
    if not summary["finalists"]:
        return []
    lines = [
        f"  {_name(entry):<{NAME}}{score(entry['mean']):>8} +- {score(entry['std'])}   {len(entry['seeds'])} seeds"
        for entry in summary["finalists"]
    ]
    return ["validation macro-F1 with new seeds, mean +- std", *lines]


def _name(entry: Mapping[str, Any]) -> str:
    return "base config" if entry["is_base"] else f"trial {entry['trial']}"


def _test(summary: Mapping[str, Any]) -> list[str]:
    test, floor = summary["test"], summary["most_frequent"]
    if test is None:
        return []
    title = f"  {'test macro-F1':<{NAME}}{'base':>8}{'winner':>10}{'most frequent class' if floor else '':>22}"
    rows = [
        (head, base.get("macro_f1"), winner["macro_f1"], low.get("macro_f1"))
        for head, base, winner, low in head_rows(summary)
    ]
    means = [entry and entry["mean_macro_f1"] for entry in (test["base"], test["winner"], floor)]
    lines = [
        f"  {name[: NAME - 1]:<{NAME}}{score(base):>8}{score(winner):>10}{score(low) if floor else '':>22}".rstrip()
        for name, base, winner, low in [*rows, ("mean over the heads", *means)]
    ]
    return [title.rstrip(), *lines]


def _cost(summary: Mapping[str, Any]) -> list[str]:
    seconds, memory = summary["seconds"], summary["memory_pss_gb"]
    overhead = seconds["overhead_per_trial"]
    lines = [
        f"wall time {duration(seconds['wall'])}; inside training {duration(seconds['training'])}",
        f"overhead per trial {duration(overhead)}; peak memory "
        + ("unknown" if memory is None else f"{memory:.2f} GB (PSS)"),
    ]
    return [f"  {line}" for line in lines]


def _files(record: Record) -> list[str]:
    paths = [record.folder / name for name in FILES]
    there = [f"  {path}" for path in paths if path.name in FILES[:3] or path.exists()]
    command = train_command(record)
    again = ["", "to train the winner again:", f"  {command}"] if command else []
    return ["files:", *there, *again]
