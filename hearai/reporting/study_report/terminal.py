"""The results of a search as text for the terminal, at most 80 columns wide (paths may be longer)."""

import textwrap

from hearai.errors import printable
from hearai.metrics import metric_of
from hearai.reporting.study_report.findings.health import health_line
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import FinalistSummary, StudySummary
from hearai.reporting.study_report.tables import (
    MIN_SHARE,
    MOST_FAILURES,
    failures,
    head_rows,
    mean_rows,
    train_command,
)
from hearai.reporting.study_report.verdict import gain_remark, headline, score_remarks, stopping_remark
from hearai.reporting.text import COLUMNS, duration, score, short_names, shorten
from hearai.search.storage.layout import BEST_CONFIG, BEST_MODEL, REPORT, SHORT_REPORT, SUMMARY, TRIALS_TABLE

NAME_WIDTH = 34
"""Characters of the first column."""
MOST_IMPORTANT = 3
"""Parameters named; the page has more."""
MOST_POINTS = 12
"""Trials of the Pareto front that are listed."""
REPORT_FILES = (REPORT, SHORT_REPORT, TRIALS_TABLE, SUMMARY)
BEST_FILES = (BEST_CONFIG, BEST_MODEL)
"""Those that a finished search has in addition."""


def terminal_text(record: StudyRecord, summary: StudySummary) -> str:
    """Verdict, scores, counts, times, files, and the command that trains the winner again."""
    parts = [
        _wrap(f"{summary.study}: {_counts(summary)}"),
        _wrap(headline(summary)),
        _validation(summary),
        _finalists(summary),
        _test(summary),
        [line for remark in score_remarks(summary) for line in _wrap(remark, indent="  ")],
        _importance(record, summary),
        [line for change in summary.space_history for line in _wrap(change, indent="  ")],
        [line for remark in _search_remarks(summary) for line in _wrap(remark, indent="  ")],
        [line for warning in summary.warnings for line in _wrap(f"warning: {warning}", indent="  ")],
        _wrap(health_line(summary.health), indent="  "),
        _failures(record),
        _pareto(summary),
        _retrained(summary),
        _cost(summary),
        _files(record),
    ]
    return printable("\n\n".join("\n".join(part) for part in parts if part))


def _wrap(text: str, indent: str = "") -> list[str]:
    """indent: of all lines but the first."""
    return textwrap.wrap(text, COLUMNS - 2, break_on_hyphens=False, break_long_words=False, subsequent_indent=indent)


def _counts(summary: StudySummary) -> str:
    trials = summary.trials
    states = [f"{trials.complete} complete", f"{trials.pruned} stopped early", f"{trials.failed} failed"]
    states += [f"{trials.paused} paused"] if trials.paused else []
    states += [f"{trials.running} running"] if trials.running else []
    diverged = f"; {summary.diverged} diverged" if summary.diverged else ""
    splits = f", each on {summary.splits} splits" if summary.splits > 1 else ""
    ended_by = f"; stopping criterion: {summary.ended_by}" if summary.ended_by else ""
    return f"{trials.total} trials{splits} ({', '.join(states)}{diverged}){ended_by}"


def _validation(summary: StudySummary) -> list[str]:
    rows = [
        f"  {f'{name} (trial {trial.trial})':<{NAME_WIDTH}}{score(trial.value):>8}   epoch {trial.epoch}"
        for name, trial in ((summary.winner_label, summary.best), ("base config", summary.baseline))
        if trial and trial.value is not None
    ]
    return [f"validation {summary.objective.label} in the search, best epoch", *rows] if rows else []


def _finalists(summary: StudySummary) -> list[str]:
    rows = [f"  {one.name:<{NAME_WIDTH}}{score(one.mean):>8}{_spread(one)}" for one in summary.finalists]
    return [f"validation {summary.objective.label} retrained with new seeds, mean +- std", *rows] if rows else []


def _spread(finalist: FinalistSummary) -> str:
    seeds = len(finalist.seeds)
    return f" +- {score(finalist.std)}   {seeds} seeds" if seeds > 1 else "            1 seed"


def _test(summary: StudySummary) -> list[str]:
    if summary.test is None:
        return []
    majority = summary.most_frequent
    title = f"  {'test macro-F1':<{NAME_WIDTH}}{'base':>8}{'winner':>10}{'most frequent class' if majority else '':>22}"
    searched = {row.name for row in head_rows(summary) if row.is_searched}
    rows = [
        f"{'*' if row.name in searched else ' '} {shorten(row.name, NAME_WIDTH - 1):<{NAME_WIDTH}}"
        f"{score(row.base):>8}{score(row.winner):>10}{score(row.majority) if majority else '':>22}"
        for row in (*head_rows(summary), *mean_rows(summary))
    ]
    return [line.rstrip() for line in (title, *rows)]


def _importance(record: StudyRecord, summary: StudySummary) -> list[str]:
    """The most important parameters, or why they are unknown."""
    shares = [(path, share) for path, share in summary.importance.items() if share >= MIN_SHARE][:MOST_IMPORTANT]
    if not shares:
        return _wrap(f"importance of parameters: {summary.importance_note}")
    names = short_names([*record.study.space.domains, *summary.importance])
    text = ", ".join(f"{names[path]} {share:.0%}" for path, share in shares)
    return _wrap(f"most important: {text}", indent="  ")


def _search_remarks(summary: StudySummary) -> list[str]:
    """Whether more trials, or stopping earlier, would pay; that the latter is unknown is said on the page only."""
    gain, stopping = gain_remark(summary), stopping_remark(summary)
    return ([gain] if gain else []) + ([stopping] if summary.early_stopping.outcomes else [])


def _failures(record: StudyRecord) -> list[str]:
    """The first few failures, shortened to one line each."""
    found = failures(record)
    lines = [textwrap.shorten(f"{name}: {reason}", COLUMNS - 2, placeholder=" ...") for name, reason in found]
    more = [f"{len(found) - MOST_FAILURES} more; see trials.csv"] if len(found) > MOST_FAILURES else []
    return ["failed trials", *(f"  {line}" for line in (*lines[:MOST_FAILURES], *more))] if found else []


def _pareto(summary: StudySummary) -> list[str]:
    if not summary.pareto:
        return []
    metrics = {name: metric_of(name, summary.objective.score) for name in summary.objective.metrics}
    lines = [f"{'Pareto front, in the search':<{NAME_WIDTH}}" + "".join(f"{m.column:>10}" for m in metrics.values())]
    for point in summary.pareto[:MOST_POINTS]:
        cells = [f"{metric.format(point.values[name]):>10}" for name, metric in metrics.items()]
        lines.append(f"{_trial_name(point.trial, summary):<{NAME_WIDTH}}" + "".join(cells))
    hidden = len(summary.pareto) - MOST_POINTS
    lines += [f"and {hidden} more in summary.json"] if hidden > 0 else []
    files = [point.config for point in summary.pareto if point.config]
    lines += [f"configs: {files[0]}{' ...' if len(files) > 1 else ''}"] if files else []
    return [f"  {line}" for line in lines]


def _trial_name(number: int, summary: StudySummary) -> str:
    best, base = summary.best, summary.baseline
    if best and number == best.trial:
        return f"trial {number} ({summary.winner_label})"
    return f"trial {number} (base config)" if base and number == base.trial else f"trial {number}"


def _retrained(summary: StudySummary) -> list[str]:
    if not summary.retrained:
        return []
    return _wrap(
        f"The winner was trained once more, on training and validation clips: {summary.retrained.checkpoint}. "
        "No held-out clips remain to score this model; the winner's test scores are the best estimate."
    )


def _cost(summary: StudySummary) -> list[str]:
    seconds, memory = summary.seconds, summary.memory_pss_gb
    peak = "unknown" if memory is None else f"{memory:.2f} GB (PSS)"
    outside = seconds.overhead_per_trial
    idle = f"  per trial {duration(outside)} of the slots' time went to starts, waiting and idle slots"
    return [
        f"  wall time {duration(seconds.wall)}; training time {duration(seconds.training)}, summed over trials",
        *([] if outside is None else [idle]),
        f"  peak memory {peak}",
    ]


def _files(record: StudyRecord) -> list[str]:
    paths = [record.folder / name for name in REPORT_FILES]
    paths += [path for name in BEST_FILES if (path := record.folder / name).exists()]
    command = train_command(record)
    again = ["", "to train the winner again:", f"  {command}"] if command else []
    return ["files:", *(f"  {path}" for path in paths), *again]
