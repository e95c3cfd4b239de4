"""Plots of the Pareto front: the objective by each cost."""

from collections.abc import Sequence

from markupsafe import Markup

from hearai.metrics import METRICS, metric_of
from hearai.reporting.study_report.charts.svg import Series, line_chart
from hearai.reporting.study_report.findings.pareto import ParetoPoint, values_of
from hearai.reporting.study_report.study_record import StudyRecord


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
        Series([position], _label(record, number), _kind(record, number, front), joined=False, trial=number)
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
    values = values_of(trial) if trial else {}
    score = record.study.base.train_parameters.objective_metric
    metrics = [(metric_of(name, score), values.get(name)) for name in record.study.settings.metric]
    return f"trial {number}: {', '.join(f'{metric.column} {metric.format(value)}' for metric, value in metrics)}"
