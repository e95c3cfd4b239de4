"""Writes the report of a study folder and reads its files, the page as a browser would."""

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hearai.reporting.study_report.page import write_results


class Page(HTMLParser):
    """Unclosed tags, URLs that would be loaded, and the visible text of a page."""

    VOID = {"meta", "img", "link", "br", "wbr", "line", "input"}

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str | None] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        links = [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.loads += [link for link in links if not (link or "").startswith("#")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open[-1:] not in (["style"], ["title"]) else ""


def html_of(folder: Path) -> str:
    """The source of a study's page, written again."""
    write_results(folder)
    return (folder / "report.html").read_text()


def page_of(folder: Path) -> Page:
    """A study's page, written again."""
    return Page(html_of(folder))


def summary_of(folder: Path) -> dict[str, Any]:
    """A study's summary.json, written again."""
    write_results(folder)
    return json.loads((folder / "summary.json").read_text())


def csv_rows_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a study's trials.csv, written again."""
    write_results(folder)
    return list(csv.DictReader(io.StringIO((folder / "trials.csv").read_text())))
