"""Writes `report.html`, a single page that needs only a browser, and the files beside it."""

import json
import time
from pathlib import Path
from typing import Any

import jinja2

from hearai.files import atomic_write_text
from hearai.metrics import METRICS, OBJECTIVE, SCORES
from hearai.reporting import text
from hearai.reporting.study_report import tables
from hearai.reporting.study_report.charts import bar_chart
from hearai.reporting.study_report.final_scores import MajorityScores
from hearai.reporting.study_report.pareto_plots import pareto_plots
from hearai.reporting.study_report.plots import finalist_scores, learning_curves, score_by_cost, score_by_trial
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord, read_record
from hearai.reporting.study_report.summarize import summarize
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.study_report.terminal import terminal_text
from hearai.reporting.study_report.verdict import gain_remark, headline, score_remarks, stopping_remark
from hearai.search.storage.layout import REPORT, SUMMARY, TRIALS_TABLE

TEMPLATES = Path(__file__).with_name("templates")
ROWS_SHOWN = 50
"""Rows of the table of trials that are visible; the others unfold."""
STATE_NAMES = {
    "COMPLETE": "complete",
    "PRUNED": "stopped early",
    "FAIL": "failed",
    "RUNNING": "running",
    "PAUSED": "paused",
    "WAITING": "waiting",
}


def write_results(folder: Path) -> str:
    """Writes trials.csv, report.html and summary.json into a study folder; returns a text for the terminal.

    The search may be unfinished, running in another process, or empty. No other file is changed.

    Raises:
        UserError: the folder is not a study folder, or one of its files is broken.
    """
    record = read_record(folder)
    summary = summarize(record, _majority_scores(record))
    atomic_write_text(folder / TRIALS_TABLE, tables.trials_csv(record))
    atomic_write_text(folder / REPORT, render_page(record, summary))
    atomic_write_text(folder / SUMMARY, json.dumps(summary.to_dict(), indent=1, allow_nan=False) + "\n")
    return terminal_text(record, summary)


def _majority_scores(record: StudyRecord) -> MajorityScores | None:
    if record.test is None:
        return None
    from hearai.reporting.study_report.majority_baseline import majority_scores  # imports torch

    return majority_scores(record)


def render_page(record: StudyRecord, summary: StudySummary) -> str:
    """The page of a search in any state."""
    metrics = {name: METRICS[name] for name in record.study.settings.metric}
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            study=record.study,
            summary=summary,
            headline=headline(summary),
            stopping_remark=stopping_remark(summary),
            gain_remark=gain_remark(summary),
            written=time.strftime("%F %T"),
            metrics=metrics,
            costs={name: metric for name, metric in metrics.items() if name != OBJECTIVE},
            winner_number=record.winner.number if record.winner else None,
            **_test_and_parameters(record, summary),
            **_plots(record, summary),
            **_trials(record),
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": text.plain, "score": text.score, "duration": text.duration}
    environment.globals |= {"gain": text.gain, "state_names": STATE_NAMES}
    return environment


def _test_and_parameters(record: StudyRecord, summary: StudySummary) -> dict[str, Any]:
    names, shares = _short_names(record), summary.importance.items()
    return {
        "heads": tables.head_rows(summary),
        "means": tables.mean_rows(summary),
        "rank_rows": tables.rank_rows(summary),
        "score_names": SCORES,
        "score_remarks": score_remarks(summary),
        "parameters": tables.parameter_rows(record),
        "importance": bar_chart([(names[p], share) for p, share in shares if share >= tables.MIN_SHARE], "importance"),
        "unimportant": [names[path] for path, share in shares if share < tables.MIN_SHARE],
        "train_command": tables.train_command(record),
    }


def _plots(record: StudyRecord, summary: StudySummary) -> dict[str, Any]:
    return {
        "finalist_scores": finalist_scores(record, summary),
        "pareto_plots": pareto_plots(record, summary.pareto),
        "learning_curves": learning_curves(record),
        "score_by_trial": score_by_trial(record),
        "score_by_cost": score_by_cost(record),
    }


def _trials(record: StudyRecord) -> dict[str, Any]:
    return {
        "names": _short_names(record),
        "trials": sorted(record.trials, key=_rank),
        "rows_shown": ROWS_SHOWN,
        "failures": tables.failures(record),
        "most_failures": tables.MOST_FAILURES,
    }


def _short_names(record: StudyRecord) -> dict[str, str]:
    """{parameter: short name} of the space, and of tied choices, which trials have under names of their own."""
    of_trials = [name for trial in record.trials for name in trial.params]
    return text.short_names([*record.study.space.domains, *of_trials])


def _rank(trial: TrialRecord) -> tuple[float, int]:
    """The best first; those without a value last."""
    return (-trial.value if trial.value is not None else 1.0, trial.number)
