"""`report.html`: one page that needs nothing but a browser."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hearai.files import write_whole
from hearai.metrics import METRICS, OBJECTIVE
from hearai.reporting.study_report import tables
from hearai.reporting.study_report.charts import Strip, bar_chart, strip_chart
from hearai.reporting.study_report.pareto import front_charts
from hearai.reporting.study_report.plots import learning_curves, over_cost, progress
from hearai.reporting.study_report.study_record import StudyRecord, TrialRecord, read_record
from hearai.reporting.study_report.summary import summarize
from hearai.reporting.study_report.tables import trials_csv
from hearai.reporting.study_report.terminal import terminal_text
from hearai.reporting.study_report.verdict import headline

TEMPLATES = Path(__file__).with_name("templates")
ROWS_SHOWN = 50
"""Of the table of trials; the others unfold."""


def render_page(record: StudyRecord, summary: Mapping[str, Any]) -> str:
    """The whole page; it says so where a search is unfinished or empty."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    pages = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters |= {"plain": tables.plain, "score": tables.score, "duration": tables.duration}
    pages.globals |= {"gain": tables.gain}
    winner, metrics = record.winner, {name: METRICS[name] for name in record.study.settings.metric}
    names = tables.short_names([*record.study.space.domains, *_free_names(record)])
    shares = summary["importance"].items()
    curves, progressed = learning_curves(record), progress(record)
    return pages.get_template("report.html.j2").render(
        study=record.study,
        summary=summary,
        headline=headline(summary),
        written=time.strftime("%F %T"),
        train_command=tables.train_command(record),
        heads=tables.head_rows(summary),
        means=tables.means_of(summary),
        metrics=metrics,
        costs={name: metric for name, metric in metrics.items() if name != OBJECTIVE},
        front_charts=front_charts(record),
        parameters=_parameter_rows(record),
        names=names,
        importance=bar_chart([(names[path], share) for path, share in shares if share >= tables.SMALL], "importance"),
        unimportant=[names[path] for path, share in shares if share < tables.SMALL],
        trials=sorted(record.trials, key=_rank),
        rows_shown=ROWS_SHOWN,
        failures=tables.failures(record),
        most_failed=tables.MOST_FAILED,
        running=sum(trial.state == "RUNNING" for trial in record.trials),
        winner_number=winner.number if winner else None,
        strips=_strips(record, summary),
        curves=curves[0],
        curves_left_out=curves[1],
        progress=progressed[0],
        progress_left_out=progressed[1],
        over_cost=over_cost(record),
    )


def _free_names(record: StudyRecord) -> list[str]:
    """Parameters of trials that are no domain of the space by themselves (tied choices)."""
    found = dict.fromkeys(name for trial in record.trials for name in trial.params)
    return [name for name in found if name not in record.study.space.domains]


def _rank(trial: TrialRecord) -> tuple[float, int]:
    """The best first; those without a value at the end."""
    return (-trial.value if trial.value is not None else 1.0, trial.number)


def _parameter_rows(record: StudyRecord) -> list[tuple[str, str, Any, Any]]:
    """(path, domain, base config's value, winner's value); empty where the winner does not have the parameter."""
    chosen = record.winner.params if record.winner else {}
    return [
        (path, str(domain), record.study.space.own_value(path, record.study.base), chosen.get(path, ""))
        for path, domain in record.study.space.domains.items()
    ]


def _strips(record: StudyRecord, summary: Mapping[str, Any]) -> Markup:
    """Each finalist's seeds beside the score for which the search had chosen it."""
    winner = record.winner.number if summary["test"] and record.winner else None
    rows = []
    for entry in summary["finalists"]:
        kind = "winner" if entry["trial"] == winner else "base" if entry["is_base"] else "other"
        source = record.trial(entry["trial"])
        name = tables.finalist_name(entry)
        before = source.value if source and source.state == "COMPLETE" else None  # a stopped one had fewer epochs
        rows.append(Strip(name, entry["values"], entry["mean"], entry["std"], before, kind))
    return strip_chart(rows, f"validation {record.words}")


def write_results(folder: Path) -> str:
    """Writes trials.csv, report.html and summary.json into a study's folder; returns a text for the terminal.

    Whatever the state of the search: unfinished, running in another process, or empty. Nothing else is changed.

    Raises:
        UserError: the folder holds no study, or one of its files is broken.
    """
    record = read_record(folder)
    summary = summarize(record, _floor(record))
    write_whole(folder / "trials.csv", trials_csv(record))
    write_whole(folder / "report.html", render_page(record, summary))
    write_whole(folder / "summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    return terminal_text(record, summary)


def _floor(record: StudyRecord) -> dict[str, Any] | None:
    if record.test is None:
        return None
    from hearai.reporting.study_report.majority_baseline import most_frequent  # brings torch

    return most_frequent(record)
