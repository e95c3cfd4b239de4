"""What each study cost, and how its best score grew with the cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from markupsafe import Markup

from hearai.reporting.comparison.compared import ComparedStudy
from hearai.reporting.html_pages import colour_class
from hearai.reporting.study_report.charts.course import best_so_far, by_end
from hearai.reporting.study_report.charts.svg import Series, Strip, line_chart, strip_chart
from hearai.reporting.study_report.study_record import TrialRecord
from hearai.reporting.text import score
from hearai.search.storage.attributes import SLOT_SECONDS

Cost = Callable[[TrialRecord], float]
Points = Sequence[tuple[float, float]]
"""Corners of a step line: (cost, best score so far)."""

STRIP_LABEL = 12
"""Characters of the longest label beside a strip."""


def epochs_of(trial: TrialRecord) -> float:
    """Epochs that a trial has trained."""
    return trial.epochs


def minutes_of(trial: TrialRecord) -> float:
    """Minutes inside `fit`; 0 for a trial that has not ended, whose time is not known."""
    return (trial.seconds or 0.0) / 60


@dataclass(frozen=True)
class CostRow:
    """The cost of one study; None = unknown."""

    study: ComparedStudy
    epochs: int
    """Of the search, over all trials; without finals."""
    slot_seconds: float | None
    """Seconds of all slots together, busy or not, of search and finals."""
    training_seconds: float
    """Inside `fit`, of all trials and finals."""
    wall_seconds: float | None
    epochs_to_target: float | None
    """Epochs of the search until its best score reached the target; None where there is none."""


def target_of(studies: Sequence[ComparedStudy]) -> float | None:
    """The score that each of these studies has reached in the search; None with fewer than two of them."""
    reached = [points[-1][1] for study in studies if (points := best_by_cost(study, epochs_of))]
    return min(reached) if len(reached) > 1 else None


def cost_rows(studies: Sequence[ComparedStudy], target: float | None) -> list[CostRow]:
    """One row per study. target: see `target_of`."""
    return [
        CostRow(
            study,
            study.epochs,
            study.record.notes.get(SLOT_SECONDS),
            study.summary.seconds.training,
            study.summary.seconds.wall,
            None if target is None else cost_to_reach(best_by_cost(study, epochs_of), target),
        )
        for study in studies
    ]


def best_by_cost(study: ComparedStudy, cost: Cost) -> Points:
    """The best complete trial so far by the cost of all trials that had ended by then, stopped and failed ones too."""
    trials = sorted(study.record.trials, key=by_end)
    return best_so_far(zip(accumulate(map(cost, trials)), trials, strict=True))


def cost_to_reach(points: Points, target: float) -> float | None:
    """The cost at which a line of `best_by_cost` first reaches the target; None if it never does."""
    return next((cost for cost, value in points if value >= target), None)


def cost_chart(numbered: Sequence[tuple[int, ComparedStudy]], cost: Cost, x_name: str) -> Markup:
    """The lines of `best_by_cost`; empty where no trial is complete. numbered: (number of its colour, study)."""
    series = [
        Series(points, f"{study.label}: {score(points[-1][1])}", colour_class(number))
        for number, study in numbered
        if (points := best_by_cost(study, cost))
    ]
    label = numbered[0][1].summary.objective.label
    return line_chart(series, x_name=x_name, y_name=f"best validation {label}", integer_x=cost is epochs_of)


def _short(label: str) -> str:
    """A label that fits beside a strip; beginning and end are what tells studies apart."""
    return label if len(label) <= STRIP_LABEL else f"{label[:5]}…{label[-6:]}"


def seeds_chart(studies: Sequence[ComparedStudy]) -> Markup:
    """A strip per study with the winner's score of each new seed and its score in the search; empty without any."""
    strips = [
        Strip(_short(study.label), runs.values, runs.mean, runs.std, study.winner_value, colour_class(number))
        for number, study in enumerate(studies)
        if (runs := study.winner_runs)
    ]
    return strip_chart(strips, f"validation {studies[0].summary.objective.label}")
