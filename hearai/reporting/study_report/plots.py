"""The charts of a search's course: learning curves, scores trial by trial, the best score over what was spent."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from hearai.reporting.study_report.charts import Series, line_chart
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord
from hearai.reporting.study_report.tables import evenly, score

MOST_CURVES = 100
"""Of the stopped trials, and as many of the others that are complete: more are a grey area, and slow to draw."""
MOST_DOTS = 500
"""Likewise, of the trials' scores."""
ORDER = ("stopped", "other", "base", "winner")
"""The later above the earlier."""


def kind_of(trial: TrialRecord, winner: int | None) -> str:
    """Class of the page's style sheet. winner: its number."""
    if trial.number == winner:
        return "winner"
    return "base" if trial.kind == "base" else "other" if trial.state == "COMPLETE" else "stopped"


def learning_curves(record: StudyRecord) -> tuple[Markup, str]:
    """Validation score by epoch, base config and winner in front; and a sentence on what was left out."""
    known, left_out = _thinned([trial for trial in record.trials if trial.curve], record, MOST_CURVES)
    lines = [Series(list(trial.curve.items()), _label(trial), kind) for kind, trial in known]
    return line_chart(lines, x_name="epoch", y_name=f"validation {record.words}"), left_out


def progress(record: StudyRecord) -> tuple[Markup, str]:
    """The objective in the order of the search, and the best complete one so far; what was left out."""
    known = [trial for trial in record.trials if trial.value is not None]
    shown, left_out = _thinned(known, record, MOST_DOTS)
    dots = [Series([(trial.number, trial.value)], _label(trial), kind, joined=False) for kind, trial in shown]
    best = _staircase((trial.number, trial) for trial in known)
    return line_chart([*best, *dots], x_name="trial", y_name=f"validation {record.words}, best epoch"), left_out


def over_cost(record: StudyRecord) -> Markup:
    """The best complete objective against the epochs that all trials together had trained when it was known."""
    spent, path = 0, []
    for trial in sorted(record.trials, key=lambda trial: (trial.ended is None, trial.ended or 0.0, trial.number)):
        spent += trial.epochs
        path.append((spent, trial))
    y_name = f"best validation {record.words}"
    return line_chart(_staircase(path), x_name="epochs trained, all trials together", y_name=y_name)


def _thinned(
    trials: Sequence[TrialRecord], record: StudyRecord, most: int
) -> tuple[list[tuple[str, TrialRecord]], str]:
    """(kind, trial) in drawing order, at most `most` of those stopped and of the others, evenly over the search.

    The best of the others is the winner, which is always there, as is the base config.
    """
    winner = record.winner.number if record.winner else None
    kinds: dict[str, list[TrialRecord]] = {kind: [] for kind in ORDER}
    for trial in trials:
        kinds[kind_of(trial, winner)].append(trial)
    shown = [(kind, trial) for kind in ORDER for trial in evenly(kinds[kind], most)]
    if len(shown) == len(trials):
        return shown, ""
    return shown, f"{len(shown)} of {len(trials)} trials are drawn, evenly over the search."


def _staircase(path: Iterable[tuple[float, TrialRecord]]) -> list[Series]:
    """The best complete value so far along `path`: (place, trial), as a line that ends at the last place."""
    points: list[tuple[float, float]] = []
    last = 0.0
    for place, trial in path:
        last = place
        if trial.state != "COMPLETE" or trial.value is None:
            continue
        if not points:
            points.append((place, trial.value))
        elif trial.value > points[-1][1]:
            points += [(place, points[-1][1]), (place, trial.value)]
    if points:
        points.append((last, points[-1][1]))
    return [Series(points, "best complete trial so far", "best")]


def _label(trial: TrialRecord) -> str:
    return f"trial {trial.number} ({trial.kind}, {trial.state.lower()}): {score(trial.value)}"
