"""`report.md`, the outcome of a search on one screen: for pull requests, in GitHub's Markdown."""

import re
from collections.abc import Iterable, Sequence

from hearai.reporting.study_report import tables
from hearai.reporting.study_report.findings.health import not_passed
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.study_report.verdict import gain_remark, headline, score_remarks
from hearai.reporting.text import duration, gain, plain, score
from hearai.search.storage.layout import BEST_CONFIG, REPORT

SPECIAL = re.compile(r"([\\`*\[\]#|~$])")
"""Characters that Markdown could read as markup within a line; `<`, `>` and `&` become entities."""


def markdown_report(record: StudyRecord, summary: StudySummary) -> str:
    """Verdict, warnings, test scores, best parameters, finalists and cost of a search in any state."""
    sections = [
        [f"## {escape(summary.study)}: hyperparameter search", "", escape(headline(summary))],
        [f"> **Warning:** {escape(warning)}" for warning in summary.warnings],
        [f"- **{one.status}**, {one.name}: {escape(one.figure)}" for one in not_passed(summary.health)],
        _section("Test scores", ("head", "base", "winner", "gain", *_majority_head(summary)), _test(summary)),
        [escape(remark) for remark in score_remarks(summary)],
        _section("Parameters", ("parameter", "base config", summary.winner_label), _parameters(record)),
        _section("Finalists, retrained with new seeds", ("config", "mean", "std", "seeds"), _finalists(summary)),
        _cost(summary),
        _failures(record),
        [f"More: `{REPORT}`" + (f"; the winner's config: `{BEST_CONFIG}`" if _has_winner(record) else "") + "."],
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def escape(text: object) -> str:
    """Text from files, as Markdown shows it literally: no markup, no HTML, no mention of a user."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", line).replace("@", "@\u200b")


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table below a heading; nothing without rows. The first column is text, the others are numbers."""
    if not rows:
        return []
    return [f"### {title}", "", _row(map(escape, head)), _row(["---", *["---:"] * (len(head) - 1)]), *map(_row, rows)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _majority_head(summary: StudySummary) -> list[str]:
    return ["most frequent class"] if summary.most_frequent else []


def _test(summary: StudySummary) -> list[list[str]]:
    """Macro-F1 on the test clips by head, and the means."""
    heads, means = tables.head_rows(summary), tables.mean_rows(summary)
    names = [escape(f"{row.name} *" if row.is_searched else row.name) for row in heads]
    names += [f"**{escape(row.name)}**" for row in means]
    return [
        [name, score(row.base), score(row.winner), gain(row.base, row.winner)]
        + ([score(row.majority)] if summary.most_frequent else [])
        for name, row in zip(names, [*heads, *means], strict=True)
    ]


def _parameters(record: StudyRecord) -> list[list[str]]:
    if record.winner is None:
        return []
    rows = tables.parameter_rows(record)
    return [[f"`{row.path}`", escape(plain(row.base)), escape(plain(row.winner))] for row in rows]


def _finalists(summary: StudySummary) -> list[list[str]]:
    return [
        [one.name, score(one.mean), score(one.std) if len(one.seeds) > 1 else "-", ", ".join(map(score, one.values))]
        for one in summary.finalists
    ]


def _cost(summary: StudySummary) -> list[str]:
    trials, seconds = summary.trials, summary.seconds
    states = f"{trials.complete} complete, {trials.pruned} stopped early, {trials.failed} failed"
    states += f", {trials.paused} paused" if trials.paused else ""
    remark = gain_remark(summary)
    return [
        f"{trials.total} trials ({states}); wall time {duration(seconds.wall)}, training {duration(seconds.training)} "
        f"summed over trials.{f' {escape(remark)}' if remark else ''}"
    ]


def _failures(record: StudyRecord) -> list[str]:
    found = tables.failures(record)
    lines = [f"- {escape(name)}: {escape(reason)}" for name, reason in found[: tables.MOST_FAILURES]]
    more = [f"- {len(found) - tables.MOST_FAILURES} more"] if len(found) > tables.MOST_FAILURES else []
    return ["### Failed trials", "", *lines, *more] if found else []


def _has_winner(record: StudyRecord) -> bool:
    return (record.folder / BEST_CONFIG).is_file()
