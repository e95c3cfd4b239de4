"""Plots of the course of a search: learning curves, scores by trial, the best score by training cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hearai.reporting.study_report.charts.svg import Series, Strip, line_chart, strip_chart
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord, evenly_spaced
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.text import score

MOST_CURVES = 100
"""Of the stopped trials, and as many of the complete ones: more make a grey area that is slow to draw."""
MOST_DOTS = 500
"""Likewise, of the scores of trials."""
DRAWING_ORDER = ("stopped", "other", "base", "winner")
"""Later ones above earlier ones."""


@dataclass(frozen=True)
class Plot:
    """A chart that may leave out some of the trials."""

    chart: Markup
    """Empty where there is nothing to draw."""
    note: str
    """A sentence on the trials that were left out; empty where all are drawn."""


def learning_curves(record: StudyRecord) -> Plot:
    """Validation score by epoch, base config and winner in front."""
    shown, note = _thin_out([trial for trial in record.trials if trial.curve], record, MOST_CURVES)
    lines = [Series(list(trial.curve.items()), _label(trial), kind) for kind, trial in shown]
    return Plot(line_chart(lines, x_name="epoch", y_name=f"validation {record.objective_label}"), note)


def score_by_trial(record: StudyRecord) -> Plot:
    """The objective of each trial in the order of the search, and the best complete one so far."""
    known = [trial for trial in record.trials if trial.value is not None]
    shown, note = _thin_out(known, record, MOST_DOTS)
    dots = [
        Series([(trial.number, trial.value)], _label(trial), kind, joined=False)
        for kind, trial in shown
        if trial.value is not None
    ]
    best = _best_so_far((trial.number, trial) for trial in known)
    y_name = f"validation {record.objective_label}, best epoch"
    return Plot(line_chart([*best, *dots], x_name="trial", y_name=y_name), note)


def score_by_cost(record: StudyRecord) -> Markup:
    """The best complete objective so far by the number of epochs that all trials together had trained by then."""
    epochs, path = 0, []
    for trial in sorted(record.trials, key=_by_end):
        epochs += trial.epochs
        path.append((epochs, trial))
    y_name = f"best validation {record.objective_label}"
    return line_chart(_best_so_far(path), x_name="epochs trained, all trials together", y_name=y_name)


def finalist_scores(record: StudyRecord, summary: StudySummary) -> Markup:
    """The scores of each finalist with new seeds beside the score by which the search selected it."""
    winner = record.winner.number if summary.test and record.winner else None
    strips = []
    for finalist in summary.finalists:
        kind = "winner" if finalist.trial == winner else "base" if finalist.is_base else "other"
        source = record.trial(finalist.trial)
        selected = source.value if source and source.state == "COMPLETE" else None  # a stopped one had fewer epochs
        strips.append(Strip(finalist.name, finalist.values, finalist.mean, finalist.std, selected, kind))
    return strip_chart(strips, f"validation {record.objective_label}")


def _by_end(trial: TrialRecord) -> tuple[bool, float, int]:
    """In the order in which trials ended; running ones last."""
    return (trial.ended_at is None, trial.ended_at or 0.0, trial.number)


def _thin_out(
    trials: Sequence[TrialRecord], record: StudyRecord, most: int
) -> tuple[list[tuple[str, TrialRecord]], str]:
    """(kind, trial) in drawing order, at most `most` of each kind, evenly over the search; and a note.

    Winner and base config are always among them: they are kinds of their own.
    """
    winner = record.winner.number if record.winner else None
    kinds: dict[str, list[TrialRecord]] = {kind: [] for kind in DRAWING_ORDER}
    for trial in trials:
        kinds[_kind(trial, winner)].append(trial)
    shown = [(kind, trial) for kind in DRAWING_ORDER for trial in evenly_spaced(kinds[kind], most)]
    if len(shown) == len(trials):
        return shown, ""
    return shown, f"{len(shown)} of {len(trials)} trials are drawn, evenly over the search."


def _kind(trial: TrialRecord, winner: int | None) -> str:
    """Class of the page's style sheet. winner: its number."""
    if trial.number == winner:
        return "winner"
    return "base" if trial.kind == "base" else "other" if trial.state == "COMPLETE" else "stopped"


def _best_so_far(path: Iterable[tuple[float, TrialRecord]]) -> list[Series]:
    """A step line of the best complete value along `path`, (x, trial) in ascending order; it ends at the last x."""
    points: list[tuple[float, float]] = []
    last = 0.0
    for x, trial in path:
        last = x
        if trial.state != "COMPLETE" or trial.value is None:
            continue
        if not points:
            points.append((x, trial.value))
        elif trial.value > points[-1][1]:
            points += [(x, points[-1][1]), (x, trial.value)]
    if points:
        points.append((last, points[-1][1]))
    return [Series(points, "best complete trial so far", "best")]


def _label(trial: TrialRecord) -> str:
    return f"trial {trial.number} ({trial.kind}, {trial.state.lower()}): {score(trial.value)}"
