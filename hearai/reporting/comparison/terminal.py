"""A comparison as text for the terminal, at most 80 columns wide (paths may be longer)."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from hearai.errors import printable
from hearai.reporting.comparison.compared import ComparedStudy
from hearai.reporting.comparison.costs import CostRow, cost_rows, target_of
from hearai.reporting.comparison.differences import (
    Difference,
    config_differences,
    setting_differences,
    space_differences,
)
from hearai.reporting.comparison.ranking import Ranking, headline, remarks, with_spread
from hearai.reporting.text import COLUMNS, duration, score, shorten

LABEL_WIDTH = 22
MOST_LINES = 6
"""Differences of a kind that are listed; the page has all."""


def terminal_text(studies: Sequence[ComparedStudy], ranking: Ranking, page: Path) -> str:
    """Verdict, scores, costs, differences, and where the page is."""
    parts = [
        _wrap(headline(ranking)),
        [line for reason in ranking.obstacles for line in _wrap(reason, indent="  ")],
        _scores(studies, ranking),
        _costs(studies, ranking),
        [line for remark in remarks(ranking, studies) for line in _wrap(remark, indent="  ")],
        _differences("search spaces differ", studies, space_differences(studies)),
        _differences("settings differ", studies, setting_differences(studies)),
        _differences("base configs differ", studies, config_differences(studies)),
        [f"page: {page}"],
    ]
    return printable("\n\n".join("\n".join(part) for part in parts if part))


def _wrap(text: str, indent: str = "") -> list[str]:
    """indent: of all lines but the first."""
    return textwrap.wrap(text, COLUMNS - 2, break_on_hyphens=False, subsequent_indent=indent)


def _scores(studies: Sequence[ComparedStudy], ranking: Ranking) -> list[str]:
    lines = [f"   {'scores':<{LABEL_WIDTH}}{'search':>7}{'new seeds':>17}{'test':>17}{'state':>12}"]
    for study in ranking.in_order(studies):
        runs, test = study.winner_runs, study.summary.test
        seeds = with_spread(runs.mean, runs.std, len(runs.seeds)) if runs else "-"
        tested = with_spread(test.winner.objective, test.winner.std, len(test.winner.per_seed)) if test else "-"
        state = "finished" if study.record.finished else "unfinished"
        lines.append(f"{_name(study, ranking)}{score(study.best_value):>7}{seeds:>17}{tested:>17}{state:>12}")
    return lines


def _costs(studies: Sequence[ComparedStudy], ranking: Ranking) -> list[str]:
    target = target_of(ranking.ranked)
    rows = {id(row.study): row for row in cost_rows(studies, target)}
    reach = f"to {score(target)}" if target is not None else ""
    lines = [f"   {'cost':<{LABEL_WIDTH}}{'trials':>7}{'epochs':>8}{reach:>9}{'slots':>14}{'wall':>14}"]
    return [line.rstrip() for line in (*lines, *(_cost(rows[id(one)], ranking) for one in ranking.in_order(studies)))]


def _cost(row: CostRow, ranking: Ranking) -> str:
    reach = "" if row.epochs_to_target is None else f"{row.epochs_to_target:.0f}"
    times = "".join(
        f"{duration(value) if value is not None else '-':>14}" for value in (row.slot_seconds, row.wall_seconds)
    )
    return f"{_name(row.study, ranking)}{row.study.summary.trials.total:>7}{row.epochs:>8}{reach:>9}{times}"


def _name(study: ComparedStudy, ranking: Ranking) -> str:
    place = ranking.place(study)
    return f"{place or '':>2} {shorten(study.label, LABEL_WIDTH - 1):<{LABEL_WIDTH}}"


def _differences(title: str, studies: Sequence[ComparedStudy], rows: Sequence[Difference]) -> list[str]:
    lines = []
    for row in rows[:MOST_LINES]:
        users: dict[str, list[str]] = {}
        for study, value in zip(studies, row.values, strict=True):
            users.setdefault(value, []).append(study.label)
        values = "; ".join(f"{value} ({', '.join(labels)})" for value, labels in users.items())
        wrapped = _wrap(f"{row.path}: {values}", indent="  ")
        lines += [f"  {line}" for line in wrapped]
    hidden = len(rows) - MOST_LINES
    more = [f"  {hidden} more on the page"] if hidden > 0 else []
    return [f"{title}:", *lines, *more] if rows else []
