"""Reads a report's page the way a browser would."""

from html.parser import HTMLParser
from pathlib import Path

from hearai.reporting.study_report.page import write_results


class Page(HTMLParser):
    """Tags opened and not closed, what would be loaded from elsewhere, and the visible text."""

    VOID = {"meta", "link", "br", "line"}

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_startendtag(self, tag, attrs) -> None:
        pass

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data if self.open[-1:] not in (["style"], ["title"]) else ""


def page_of(folder: Path) -> Page:
    """The page of a study's folder, written anew."""
    write_results(folder)
    return Page((folder / "report.html").read_text())
