"""The Pareto front of a search for several metrics.

A trial is on the front if no other complete trial is as good in every metric and better in one; trials outside of a
narrowed space do not count. The values are those of the search (one seed, validation clips); the winner is still chosen
by the first metric alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hearai.metrics import OBJECTIVE, pareto_front
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
    known = {trial.number: values_of(trial) for trial in record.eligible}
    points = {number: [row[name] for name in metrics] for number, row in known.items() if row.keys() >= set(metrics)}
    return [
        ParetoPoint(number, _config_file(record, number), dict(zip(metrics, points[number], strict=True)))
        for number in pareto_front(points, metrics)
    ]


def values_of(trial: TrialRecord) -> dict[str, float]:
    """{metric: value} of the metrics that are known of the trial."""
    return {**({} if trial.value is None else {OBJECTIVE: trial.value}), **trial.costs}


def _config_file(record: StudyRecord, number: int) -> str | None:
    file = f"{PARETO}/{number:04d}.yaml"
    return file if (record.folder / file).is_file() else None
