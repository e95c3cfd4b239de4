"""Plots of the course of a search: learning curves, and scores by trial, by training cost and by time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hearai.reporting.study_report.charts.svg import Dots, Series, Strip, line_chart, strip_chart
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord, evenly_spaced
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.text import score

MOST_CURVES = 100
"""Of the stopped trials, and as many of the complete ones: more make a grey area that is slow to draw."""
TIME_UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
"""(name, seconds): the first of which at least two have passed."""
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
    lines = [
        Series(list(trial.curve.items()), _label(trial), kind, trial=trial.number, end=_end_of(trial))
        for kind, trial in shown
    ]
    return Plot(line_chart(lines, x_name="epoch", y_name=f"validation {record.objective_label}"), note)


def _end_of(trial: TrialRecord) -> str:
    """The mark at the end of its curve; trials that the budget ended have none."""
    if trial.state == "PAUSED":
        return "paused"
    return "stopped" if trial.state == "PRUNED" and not trial.over_budget else ""


def score_by_trial(record: StudyRecord) -> Markup:
    """The objective of each trial in the order of the search, and the best complete one so far."""
    return _history(record, [(trial.number, trial) for trial in record.trials], "trial")


def score_by_cost(record: StudyRecord) -> Markup:
    """The objective of each trial by the number of epochs that all trials together had trained when it ended."""
    epochs, path = 0, []
    for trial in sorted(record.trials, key=by_end):
        epochs += trial.epochs
        path.append((float(epochs), trial))
    return _history(record, path, "epochs trained, all trials together")


def score_by_time(record: StudyRecord) -> Markup:
    """The objective of each ended trial by the time since the first one started; empty where times are not known."""
    starts = [trial.started_at for trial in record.trials if trial.started_at is not None]
    ended = [(trial.ended_at, trial) for trial in record.trials if trial.ended_at is not None]
    if not starts or not ended:
        return Markup("")
    last = max(end for end, _ in ended) - min(starts)
    unit, seconds = next((name, size) for name, size in TIME_UNITS if last >= 2 * size or size == 1)
    path = [((end - min(starts)) / seconds, trial) for end, trial in sorted(ended, key=lambda pair: pair[0])]
    return _history(record, path, f"{unit} since the first trial started", integer_x=False)


def _history(
    record: StudyRecord, path: Sequence[tuple[float, TrialRecord]], x_name: str, *, integer_x: bool = True
) -> Markup:
    """path: (x, trial) in ascending order."""
    winner = record.winner.number if record.winner else None
    dots: dict[str, list[tuple[int, float, float]]] = {kind: [] for kind in DRAWING_ORDER}
    for x, trial in path:
        if trial.value is not None:
            dots[kind_of(trial, winner)].append((trial.number, x, trial.value))
    shapes = [Dots(points, kind) for kind, points in dots.items()]
    y_name = f"validation {record.objective_label}, best epoch"
    best = Series(best_so_far(path), "best complete trial so far", "best")
    return line_chart([best, *shapes], x_name=x_name, y_name=y_name, integer_x=integer_x)


def finalist_scores(record: StudyRecord, summary: StudySummary) -> Markup:
    """The scores of each finalist with new seeds beside the score by which the search selected it."""
    winner = record.winner.number if summary.test and record.winner else None
    strips = []
    for finalist in summary.finalists:
        kind = "winner" if finalist.trial == winner else "base" if finalist.is_base else "other"
        source = record.trial(finalist.trial)
        selected = source.value if source and source.state == "COMPLETE" else None  # a stopped one had fewer epochs
        strips.append(
            Strip(finalist.name, finalist.values, finalist.mean, finalist.std, selected, kind, finalist.trial)
        )
    return strip_chart(strips, f"validation {record.objective_label}")


def by_end(trial: TrialRecord) -> tuple[bool, float, int]:
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
        kinds[kind_of(trial, winner)].append(trial)
    shown = [(kind, trial) for kind in DRAWING_ORDER for trial in evenly_spaced(kinds[kind], most)]
    if len(shown) == len(trials):
        return shown, ""
    return shown, f"{len(shown)} of {len(trials)} trials are drawn, evenly over the search."


def kind_of(trial: TrialRecord, winner: int | None) -> str:
    """Class of the page's style sheet. winner: its number."""
    if trial.number == winner:
        return "winner"
    return "base" if trial.kind == "base" else "other" if trial.state == "COMPLETE" else "stopped"


def best_so_far(path: Iterable[tuple[float, TrialRecord]]) -> list[tuple[float, float]]:
    """The corners of a step line: the best complete value along `path`, (x, trial) in ascending order.

    It ends at the last x; without a complete trial it is empty.
    """
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
    return [*points, (last, points[-1][1])] if points else []


def _label(trial: TrialRecord) -> str:
    return f"trial {trial.number} ({trial.kind}, {trial.state.lower()}): {score(trial.value)}"
