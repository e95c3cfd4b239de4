"""What a person reads in the terminal after a search, at 80 columns."""

import textwrap
from collections.abc import Mapping
from typing import Any

from hearai.reporting.study_report.pareto import front_lines
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.tables import (
    MOST_FAILED,
    SMALL,
    duration,
    failures,
    finalist_name,
    head_rows,
    means_of,
    score,
    short_names,
    train_command,
)
from hearai.reporting.study_report.verdict import headline

COLUMNS = 80
NAME = 34
"""Width of the first column."""
MOST_IMPORTANT = 3
"""Named in the text; the page has more."""
FILES = ("report.html", "trials.csv", "summary.json", "best.yaml", "best")


def terminal_text(record: StudyRecord, summary: Mapping[str, Any]) -> str:
    """Verdict, scores, counts, times, files, and the command that runs the winner again."""
    parts = [
        textwrap.wrap(f"{summary['study']}: {_counts(summary)}", COLUMNS - 2, break_on_hyphens=False),
        textwrap.wrap(headline(summary), COLUMNS - 2),
        _validation(summary),
        _finalists(summary),
        _test(summary),
        _importance(record, summary),
        _warnings(summary),
        _failures(record),
        front_lines(summary, NAME),
        _retrained(summary),
        _cost(summary),
        _files(record),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _retrained(summary: Mapping[str, Any]) -> list[str]:
    if not summary["retrained"]:
        return []
    text = (
        "The winner was trained once more, on training and validation clips: "
        f"{summary['retrained']['checkpoint']}. No clip is left that could say how good it is; expect what the test "
        "clips said of the winner."
    )
    return textwrap.wrap(text, COLUMNS - 2, break_on_hyphens=False, break_long_words=False)


def _counts(summary: Mapping[str, Any]) -> str:
    trials, diverged = summary["trials"], summary["diverged"]
    ended = f"{trials['complete']} complete, {trials['pruned']} stopped early, {trials['failed']} failed"
    running = trials["total"] - trials["complete"] - trials["pruned"] - trials["failed"]
    more = f"{f', {running} running' if running else ''}{f'; {diverged} diverged' if diverged else ''}"
    splits = f", each on {summary['splits']} splits" if summary["splits"] > 1 else ""
    by = f"; ended by: {summary['ended_by']}" if summary.get("ended_by") else ""
    return f"{trials['total']} trials{splits} ({ended}{more}){by}"


def _validation(summary: Mapping[str, Any]) -> list[str]:
    best, base = summary["best"], summary["baseline"]
    role = "winner" if summary["test"] else "best so far"
    rows = [
        (f"{name} (trial {trial['trial']})", trial)
        for name, trial in ((role, best), ("base config", base))
        if trial and trial["value"] is not None
    ]
    lines = [f"  {name:<{NAME}}{score(trial['value']):>8}   epoch {trial['epoch']}" for name, trial in rows]
    return [f"validation {summary['objective']['words']} in the search, best epoch", *lines] if lines else []


def _finalists(summary: Mapping[str, Any]) -> list[str]:
    if not summary["finalists"]:
        return []
    lines = [
        f"  {finalist_name(entry):<{NAME}}{score(entry['mean']):>8}{_spread(entry)}" for entry in summary["finalists"]
    ]
    return [f"validation {summary['objective']['words']} with new seeds, mean +- std", *lines]


def _spread(entry: Mapping[str, Any]) -> str:
    """One seed has no spread."""
    seeds = len(entry["seeds"])
    return f" +- {score(entry['std'])}   {seeds} seeds" if seeds > 1 else "            1 seed"


def _test(summary: Mapping[str, Any]) -> list[str]:
    test, floor = summary["test"], summary["most_frequent"]
    if test is None:
        return []
    title = f"  {'test macro-F1':<{NAME}}{'base':>8}{'winner':>10}{'most frequent class' if floor else '':>22}"
    rows = [
        (head, base.get("macro_f1"), winner["macro_f1"], low.get("macro_f1"))
        for head, base, winner, low in head_rows(summary)
    ]
    searched = summary["objective"]["heads"]
    lines = [
        f"{'*' if name in searched else ' '} {name[: NAME - 1]:<{NAME}}"
        f"{score(base):>8}{score(winner):>10}{score(low) if floor else '':>22}".rstrip()
        for name, base, winner, low in [*rows, *means_of(summary)]
    ]
    return [title.rstrip(), *lines]


def _importance(record: StudyRecord, summary: Mapping[str, Any]) -> list[str]:
    """The top three in a line, or why there are none."""
    shares = [(path, share) for path, share in summary["importance"].items() if share >= SMALL][:MOST_IMPORTANT]
    if not shares:
        return textwrap.wrap(f"importance of parameters: {summary['importance_note']}", COLUMNS - 2)
    names = short_names([*record.study.space.domains, *summary["importance"]])
    text = ", ".join(f"{names[path]} {share:.0%}" for path, share in shares)
    return textwrap.wrap(f"most important: {text}", COLUMNS - 2, break_on_hyphens=False, subsequent_indent="  ")


def _warnings(summary: Mapping[str, Any]) -> list[str]:
    lines = []
    for warning in summary["warnings"]:
        lines += textwrap.wrap(f"warning: {warning}", COLUMNS - 2, break_on_hyphens=False, subsequent_indent="  ")
    return lines


def _failures(record: StudyRecord) -> list[str]:
    """The first few, cut to a line each."""
    found = failures(record)
    lines = [textwrap.shorten(f"{name}: {why}", COLUMNS - 2, placeholder=" ...") for name, why in found]
    more = [f"{len(found) - MOST_FAILED} more; see trials.csv"] if len(found) > MOST_FAILED else []
    return ["failed trials", *(f"  {line}" for line in (*lines[:MOST_FAILED], *more))] if found else []


def _cost(summary: Mapping[str, Any]) -> list[str]:
    seconds, memory = summary["seconds"], summary["memory_pss_gb"]
    overhead = seconds["overhead_per_trial"]
    lines = [
        f"wall time {duration(seconds['wall'])}; inside training {duration(seconds['training'])}",
        f"overhead per trial {duration(overhead)}; peak memory "
        + ("unknown" if memory is None else f"{memory:.2f} GB (PSS)"),
    ]
    return [f"  {line}" for line in lines]


def _files(record: StudyRecord) -> list[str]:
    paths = [record.folder / name for name in FILES]
    there = [f"  {path}" for path in paths if path.name in FILES[:3] or path.exists()]
    command = train_command(record)
    again = ["", "to train the winner again:", f"  {command}"] if command else []
    return ["files:", *there, *again]
