"""Writes `report.html`, a single page that needs only a browser, and the files beside it."""

import json
import time
from pathlib import Path

from markupsafe import Markup

from hearai.files import atomic_write_text
from hearai.reporting import text
from hearai.reporting.html_pages import script_hash, template_environment
from hearai.reporting.study_report import tables
from hearai.reporting.study_report.cards.card import draw_cards
from hearai.reporting.study_report.cards.cards import CARDS
from hearai.reporting.study_report.final_scores import MajorityScores
from hearai.reporting.study_report.markdown import markdown_report
from hearai.reporting.study_report.study_record import StudyRecord, read_record
from hearai.reporting.study_report.summarize import summarize
from hearai.reporting.study_report.summary import StudySummary
from hearai.reporting.study_report.terminal import terminal_text
from hearai.reporting.study_report.verdict import headline, verdict_status
from hearai.search.storage.layout import REPORT, SHORT_REPORT, SUMMARY, TRIALS_TABLE

TEMPLATES = Path(__file__).with_name("templates")
STYLES = ("report.css", "evidence.css")


def write_results(folder: Path) -> str:
    """Writes report.html, report.md, trials.csv and summary.json into a study folder; returns a text for the terminal.

    The search may be unfinished, running in another process, or empty. No other file is changed.

    Raises:
        UserError: the folder is not a study folder, or one of its files is broken.
    """
    record = read_record(folder)
    summary = summarize(record, _majority_scores(record))
    atomic_write_text(folder / TRIALS_TABLE, tables.trials_csv(record))
    atomic_write_text(folder / REPORT, render_page(record, summary))
    atomic_write_text(folder / SHORT_REPORT, markdown_report(record, summary))
    atomic_write_text(folder / SUMMARY, json.dumps(summary.to_dict(), indent=1, allow_nan=False) + "\n")
    return terminal_text(record, summary)


def write_page(folder: Path) -> None:
    """Writes only report.html, for readers who watch a search: what is written at its end is not touched.

    Raises:
        UserError: the folder is not a study folder, or one of its files is broken.
    """
    record = read_record(folder)
    atomic_write_text(folder / REPORT, render_page(record, summarize(record, _majority_scores(record))))


def _majority_scores(record: StudyRecord) -> MajorityScores | None:
    if record.test is None:
        return None
    from hearai.reporting.study_report.findings.majority_baseline import majority_scores  # imports torch

    return majority_scores(record)


def render_page(record: StudyRecord, summary: StudySummary) -> str:
    """The page of a search in any state."""
    environment = template_environment(TEMPLATES, gain=text.gain)
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        study=record.study,
        summary=summary,
        headline=headline(summary),
        status=verdict_status(summary),
        written=time.strftime("%F %T"),
        style=Markup("".join((TEMPLATES / name).read_text(encoding="utf-8") for name in STYLES)),
        script=Markup(script),
        script_hash=Markup(script_hash(script)),
        cards=draw_cards(list(CARDS.values()), environment, record, summary),
    )
