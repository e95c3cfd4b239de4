"""The Pareto front of a search for several metrics: its trials and its plots.

A trial is on the front if no other complete trial is as good in every metric and better in one; trials outside of a
narrowed space do not count. The values are those of the search (one seed, validation clips); the winner is still chosen
by the first metric alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hearai.metrics import METRICS, OBJECTIVE, metric_of, pareto_front
from hearai.reporting.study_report.charts import Series, line_chart
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord
from hearai.search.storage.layout import PARETO


@dataclass(frozen=True)
class ParetoPoint:
    """A trial on the front."""

    trial: int
    config: str | None
    """File in the study folder; None until it has been written, at the end of the search."""
    values: Mapping[str, float]
    """{metric: value}, each metric of the study."""

    def to_dict(self) -> dict[str, Any]:
        """The entry of summary.json."""
        return {"trial": self.trial, "config": self.config, **self.values}


def pareto_points(record: StudyRecord) -> list[ParetoPoint]:
    """The front, the best first metric first; empty for a study of one metric."""
    metrics = record.study.settings.metric
    if len(metrics) < 2:
        return []
    known = {trial.number: _values_of(trial) for trial in record.eligible}
    points = {number: [row[name] for name in metrics] for number, row in known.items() if row.keys() >= set(metrics)}
    return [
        ParetoPoint(number, _config_file(record, number), dict(zip(metrics, points[number], strict=True)))
        for number in pareto_front(points, metrics)
    ]


def _values_of(trial: TrialRecord) -> dict[str, float]:
    """{metric: value} of the metrics that are known of the trial."""
    return {**({} if trial.value is None else {OBJECTIVE: trial.value}), **trial.costs}


def _config_file(record: StudyRecord, number: int) -> str | None:
    file = f"{PARETO}/{number:04d}.yaml"
    return file if (record.folder / file).is_file() else None


def pareto_plots(record: StudyRecord, points: Sequence[ParetoPoint]) -> list[Markup]:
    """The objective by each cost: a dot per complete trial, the front joined. points: the front of the record."""
    return [_plot(record, points, name) for name in record.study.settings.metric[1:]] if points else []


def _plot(record: StudyRecord, points: Sequence[ParetoPoint], name: str) -> Markup:
    metric, front = METRICS[name], {point.trial for point in points}
    positions = {
        trial.number: (trial.costs[name] * metric.factor, trial.value)
        for trial in record.complete
        if name in trial.costs and trial.value is not None
    }
    dots = [
        Series([position], _label(record, number), _kind(record, number, front), joined=False)
        for number, position in sorted(positions.items(), key=lambda item: item[0] in front)
    ]
    # with more than two metrics the front is not a line in this plane
    line = [Series(sorted(positions[number] for number in front), "the Pareto front", "best")]
    joined = line if len(record.study.settings.metric) == 2 else []
    y_name = f"validation {record.objective_label}, best epoch"
    return line_chart([*joined, *dots], x_name=metric.label, y_name=y_name, integer_x=False)


def _kind(record: StudyRecord, number: int, front: set[int]) -> str:
    """Class of the page's style sheet."""
    if record.winner is not None and number == record.winner.number:
        return "winner"
    return "base" if record.base and number == record.base.number else "best" if number in front else "other"


def _label(record: StudyRecord, number: int) -> str:
    trial = record.trial(number)
    values = _values_of(trial) if trial else {}
    score = record.study.base.train_parameters.objective_metric
    metrics = [(metric_of(name, score), values.get(name)) for name in record.study.settings.metric]
    return f"trial {number}: {', '.join(f'{metric.column} {metric.format(value)}' for metric, value in metrics)}"
