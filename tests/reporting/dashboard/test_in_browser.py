"""The pages of the dashboard in a real browser."""

import time
from pathlib import Path

import pytest

from hearai.reporting.dashboard.server import dashboard_server
from tests.helpers.browser import needs_chromium, open_browser
from tests.helpers.report_files import html_of

pytestmark = [pytest.mark.heavy, needs_chromium]
FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_have_no_errors_and_fit_the_window(storage: Path, tmp_path: Path, width: int) -> None:
    html_of(storage / "tiny")
    with dashboard_server(storage, "runs") as address, open_browser(tmp_path / "profile") as browser:
        site, _, token = address.partition("?")
        for page in (
            "",
            "studies/stopped/",
            "studies/killed/",
            "studies/tiny/report",
            "studies/stopped/logs/output.log",
        ):
            browser.open(f"{site}{page}?{token}", width=width, dark=width < 1000)
            assert browser.run(FITS) and browser.run("location.search") == "" and not browser.complaints, page


def test_a_report_cannot_reach_the_dashboard(storage: Path, tmp_path: Path) -> None:
    """Reports come from the storage, to which others may write: their scripts are those of another site."""
    (storage / "tiny" / "report.html").write_text("<script>window.ran = true</script>")
    with dashboard_server(storage, "runs") as address, open_browser(tmp_path / "profile") as browser:
        site, _, token = address.partition("?")
        browser.open(f"{site}studies/tiny/report?{token}")
        assert browser.run("window.ran") and browser.run("origin") == "null"
        assert browser.run("fetch('/').then(() => 'read', () => 'refused')") == "refused"


def test_the_list_shows_changes_by_itself(storage: Path, tmp_path: Path) -> None:
    with dashboard_server(storage, "runs") as address, open_browser(tmp_path / "profile") as browser:
        browser.open(address)
        states = "[...document.querySelectorAll('td .state')].map(each => each.textContent).sort().join()"
        assert browser.run(states) == "finished,interrupted,paused,paused"
        (storage / "killed" / "owner.json").unlink()
        deadline = time.monotonic() + 60
        while browser.run(states) != "finished,paused,paused,paused" and time.monotonic() < deadline:
            time.sleep(0.5)
        assert browser.run(states) == "finished,paused,paused,paused" and not browser.complaints


def test_a_stopped_dashboard_is_noticed(storage: Path, tmp_path: Path) -> None:
    with open_browser(tmp_path / "profile") as browser:
        with dashboard_server(storage, "runs") as address:
            browser.open(address)
        note, deadline = "document.getElementById('connection').textContent", time.monotonic() + 60
        while not browser.run(note) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert "The dashboard does not answer" in browser.run(note)
        assert browser.run("document.querySelectorAll('tbody tr').length") == 4, "what was shown stays"
