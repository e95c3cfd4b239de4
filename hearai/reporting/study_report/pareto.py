"""The Pareto front of a search that asks for several metrics: its rows, its pictures, and its words.

A trial is on the front if no other complete one is as good in every metric and better in one. The values are
those of the search itself (one seed, validation clips): the winner is still chosen by the first metric alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hearai.metrics import METRICS, OBJECTIVE, pareto_front
from hearai.reporting.study_report.charts import Series, line_chart
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord

FRONT = "pareto"
"""Folder of the front's configs, beside the report."""
ROWS = 12
"""Of the front that a terminal shows."""


def values_of(trial: TrialRecord) -> dict[str, float]:
    """{metric: value} of all that the trial has values of."""
    return {**({} if trial.value is None else {OBJECTIVE: trial.value}), **trial.costs}


def front_rows(record: StudyRecord) -> list[dict[str, Any]]:
    """{"trial", "config" (a file beside the report, once it is there), and each metric}; the best first metric first.

    Nothing where one metric is asked for.
    """
    metrics = record.study.settings.metric
    if len(metrics) < 2:
        return []
    known = {trial.number: values_of(trial) for trial in record.complete}
    points = {number: [row[name] for name in metrics] for number, row in known.items() if row.keys() >= set(metrics)}
    rows = []
    for number in pareto_front(points, metrics):
        file = f"{FRONT}/{number:04d}.yaml"
        config = file if (record.folder / file).is_file() else None
        rows.append({"trial": number, "config": config, **dict(zip(metrics, points[number], strict=True))})
    return rows


def front_charts(record: StudyRecord) -> list[Markup]:
    """The first metric against each other one: every complete trial a dot, those of the front joined."""
    metrics, rows = record.study.settings.metric, front_rows(record)
    return [_chart(record, rows, name) for name in metrics[1:]] if rows else []


def _chart(record: StudyRecord, rows: Sequence[Mapping[str, Any]], name: str) -> Markup:
    metric, front = METRICS[name], {row["trial"] for row in rows}
    places = {
        trial.number: (trial.costs[name] * metric.factor, trial.value)
        for trial in record.complete
        if name in trial.costs and trial.value is not None
    }
    dots = [
        Series([place], _label(record, number), _kind(record, number, front), joined=False)
        for number, place in sorted(places.items(), key=lambda item: item[0] in front)
    ]
    # with a third metric, trials are on the front that lie inside of it here
    line = [Series(sorted(places[number] for number in front), "the Pareto front", "best")]
    joined = line if len(record.study.settings.metric) == 2 else []
    y_name = f"validation {record.words}, best epoch"
    return line_chart([*joined, *dots], x_name=metric.words, y_name=y_name, whole_x=False)


def _kind(record: StudyRecord, number: int, front: set[int]) -> str:
    if record.winner is not None and number == record.winner.number:
        return "winner"
    return "base" if record.base and number == record.base.number else "best" if number in front else "other"


def _label(record: StudyRecord, number: int) -> str:
    trial = record.trial(number)
    values = values_of(trial) if trial else {}
    shown = [f"{METRICS[name].column} {METRICS[name].shown(values.get(name))}" for name in record.study.settings.metric]
    return f"trial {number}: {', '.join(shown)}"


def front_lines(summary: Mapping[str, Any], width: int) -> list[str]:
    """The front for the terminal; `width` is that of the first column. Nothing where there is none."""
    rows, metrics = summary["pareto"], [METRICS[name] for name in summary["objective"]["metrics"]]
    if not rows:
        return []
    names = summary["objective"]["metrics"]
    lines = [f"  {'the Pareto front, in the search':<{width}}" + "".join(f"{metric.column:>10}" for metric in metrics)]
    for row in rows[:ROWS]:
        cells = [f"{metric.shown(row[name]):>10}" for name, metric in zip(names, metrics, strict=True)]
        lines.append(f"  {_name(row['trial'], summary):<{width}}" + "".join(cells))
    more = [f"  and {len(rows) - ROWS} more in summary.json"] if len(rows) > ROWS else []
    return [*lines, *more, *(f"  {line}" for line in _notes(rows))]


def _name(number: int, summary: Mapping[str, Any]) -> str:
    best, base = summary["best"], summary["baseline"]
    role = "winner" if summary["test"] else "best so far"
    if best and number == best["trial"]:
        return f"trial {number} ({role})"
    return f"trial {number} (base config)" if base and number == base["trial"] else f"trial {number}"


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    files = [row["config"] for row in rows if row["config"]]
    return [f"configs: {files[0]}{' ...' if len(files) > 1 else ''}"] if files else []
