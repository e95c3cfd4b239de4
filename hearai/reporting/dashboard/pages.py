"""The pages of the dashboard as HTML."""

import time
from pathlib import Path

from hearai.reporting import text
from hearai.reporting.dashboard.logs import TAIL_BYTES, list_logs
from hearai.reporting.dashboard.rows import STATES, StudyRow, commands_of
from hearai.reporting.dashboard.tool_servers import TOOLS
from hearai.reporting.html_pages import render_template

TEMPLATES = Path(__file__).with_name("templates")
SCRIPT = (TEMPLATES / "refresh.js").read_bytes()
"""Replaces the content of a page every few seconds; without it, the page is the same."""


def list_page(rows: list[StudyRow], storage: str, note: str) -> str:
    """All studies. note: a remark on the storage, or empty."""
    values = {"rows": rows, "storage": storage, "note": note, "states": STATES, "written": time.strftime("%T")}
    return render_template(TEMPLATES, "list.html.j2", {**values, "text": text})


def study_page(row: StudyRow, storage: str, tools: dict[str, str]) -> str:
    """One study. tools: {tool: address} of those that run for it."""
    values = {
        "row": row,
        "meaning": STATES[row.state],
        "commands": commands_of(row, storage),
        "logs": list_logs(row.info.folder),
        "is_copy": "://" in storage,
        "tools": TOOLS,
        "running_tools": tools,
        "written": time.strftime("%T"),
        "since": time.strftime("%F %T", time.localtime(row.owner["since"])) if row.owner else "",
        "tail": text.size_text(TAIL_BYTES),
        "text": text,
    }
    return render_template(TEMPLATES, "study.html.j2", values)


def message_page(title: str, message: str) -> str:
    """A page that only says something."""
    return render_template(TEMPLATES, "message.html.j2", {"title": title, "message": message})
