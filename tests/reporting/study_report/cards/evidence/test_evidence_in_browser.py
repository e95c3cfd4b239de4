"""The cards that say whether to believe the result, in a real browser: frames are shown, and a phone is wide enough."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hearai.reporting.study_report.findings.health import CHECKS
from hearai.reporting.study_report.page import write_results
from tests.helpers.browser import Browser, needs_chromium, open_browser
from tests.helpers.report_facts import write_confusions, write_examples, write_facts

pytestmark = [needs_chromium, pytest.mark.heavy]
LONG = "a_long_name_of_a_class_without_any_space_that_a_narrow_window_must_break_" * 2


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_frames_are_shown_and_nothing_overflows(browser: Browser, finished: Path, width: int, dark: bool) -> None:
    write_facts(finished)
    counts = [(label, (label + 1) % 30, 2) for label in range(30)]
    write_confusions(finished, counts, classes=30, c0=LONG, c1="</script><img src=x onerror=window.hostile=1>")
    write_examples(finished, 0, 1)
    (finished / "command.txt").write_text(
        f"2026-01-01 10:00:00  python experiments/tune.py --space gloss --name {LONG}\n"
    )
    write_results(finished)
    browser.open(finished / "report.html", width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    images = "[...document.querySelectorAll('#confusions img')]"
    assert browser.run(f"{images}.map(image => image.naturalHeight > 0)") == [True] * 6
    assert browser.run("document.querySelectorAll('#health-checks li').length") == len(CHECKS)
    assert browser.run("document.querySelector('#cost .stack').clientHeight") > 10
    assert browser.run("window.hostile === undefined") and browser.complaints == []
