"""`write_results`: the tables, the figures and the page of a search, from what lies in its folder."""

import json
from pathlib import Path
from typing import Any

from hearai.files import write_whole
from hearai.reporting.page import render_page
from hearai.reporting.record import Record, read_record
from hearai.reporting.summary import summarize
from hearai.reporting.tables import trials_csv
from hearai.reporting.terminal import terminal_text


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


def _floor(record: Record) -> dict[str, Any] | None:
    if record.test is None:
        return None
    from hearai.reporting.floor import most_frequent  # brings torch

    return most_frequent(record)
