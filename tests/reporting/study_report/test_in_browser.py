"""The page in a real browser: drawn without complaints at any width and in both colour schemes, and what it answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hearai.reporting.study_report.page import write_results
from tests.helpers.browser import Browser, needs_chromium, open_browser
from tests.helpers.long_study import write_long_study
from tests.helpers.study_builder import LR, SHARP

pytestmark = [needs_chromium, pytest.mark.heavy]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """The page of 60 trials with two metrics, of all states."""
    folder = write_long_study(tmp_path_factory.mktemp("studies") / "sixty", dataset, 60, space="pareto")
    write_results(folder)
    return folder / "report.html"


def centre_of(browser: Browser, selector: str) -> tuple[float, float]:
    """The middle of an element, once it has been scrolled into the window."""
    browser.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
    return browser.run(
        f"(() => {{ const r = document.querySelector({selector!r}).getBoundingClientRect();"
        " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )


def click(browser: Browser, x: float, y: float) -> None:
    browser.mouse("mouseMoved", x, y)
    for kind in ("mousePressed", "mouseReleased"):
        browser.mouse(kind, x, y)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_card_is_drawn(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.open(page, width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    cards = "[...document.querySelectorAll('section.card')]"
    assert browser.run(f"{cards}.length") >= 12
    assert browser.run(f"{cards}.filter(card => card.clientHeight < 40).map(card => card.id)") == []
    assert (
        browser.run("[...document.querySelectorAll('section .warn')].filter(e => /drawn/.test(e.textContent)).length")
        == 0
    )
    assert browser.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(20, 24, 31)" if dark else "rgb(255, 255, 255)"
    )
    assert browser.complaints == []


def fill(kind: str, build_study: Callable) -> Path:
    with build_study() as builder:
        base = builder.study.base_params()
        if kind == "one trial":
            builder.run(base, [0.2, 0.4], "COMPLETE")
        if kind == "interrupted":
            builder.run(base, [0.2, 0.4], "COMPLETE")
            builder.run(SHARP, [0.1], "RUNNING")
        if kind == "all failed":
            builder.run(base, [], "FAIL", reason="died")
            builder.run({LR: 0.03}, [], "FAIL", reason="</script><script>window.hostile = 1</script>")
    write_results(builder.folder)
    return builder.folder / "report.html"


@pytest.mark.parametrize("kind", ["empty", "one trial", "interrupted", "all failed"])
def test_a_search_that_is_not_finished_has_a_page(browser: Browser, build_study: Callable, kind: str) -> None:
    browser.open(fill(kind, build_study), width=390)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    assert browser.run("document.querySelector('.verdict').textContent").strip()
    assert browser.run("window.hostile === undefined") and browser.complaints == []


def test_the_pointer_names_a_trial_and_a_click_pins_it(browser: Browser, page: Path) -> None:
    browser.open(page)
    x, y = centre_of(browser, "#history .base path")
    click(browser, x, y)
    text = browser.run("document.querySelector('.box').innerText")
    assert text.startswith("trial 0") and "complete (base config)" in text and "lr\n0.001" in text
    assert browser.run("document.querySelector('.pins').innerText").count("trial 0") == 1
    assert browser.run("document.querySelectorAll('#learning-curves .pinned .mark').length") == 1, "in every chart"
    click(browser, x, y)
    assert browser.run("document.querySelector('.pins').hidden")


def test_two_pinned_trials_are_compared_by_what_differs(browser: Browser, page: Path) -> None:
    browser.open(page)
    for trial in (0, 1):
        click(browser, *centre_of(browser, f"#trials tr[data-t='{trial}'] td"))
    rows = browser.run(
        "[...document.querySelectorAll('.pins tbody tr')].map(row => [...row.cells].map(c => c.textContent))"
    )
    assert len(rows) >= 3 and all(first != second for _, first, second in rows)
    assert "lr" in [name for name, *_ in rows]


def test_the_keyboard_walks_along_the_trials(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('#history svg').focus()")
    names = []
    for _ in range(3):
        browser.press("ArrowRight")
        names.append(browser.run("document.querySelector('.box b').textContent"))
    assert names == ["trial 0", "trial 1", "trial 2"]
    browser.press("Enter")
    assert "trial 2" in browser.run("document.querySelector('.pins').innerText")
    browser.press("Escape")
    assert browser.run("document.querySelector('.box').hidden")


def test_a_range_on_an_axis_selects_lines(browser: Browser, page: Path) -> None:
    browser.open(page)
    lines = browser.run("document.querySelectorAll('.parallel [data-t]').length")
    centre_of(browser, "svg.parallel")
    axis = "document.querySelectorAll('.parallel .catch')[document.querySelectorAll('.parallel .catch').length - 1]"
    x, y, height = browser.run(
        f"(() => {{ const r = {axis}.getBoundingClientRect(); return [r.x + r.width / 2, r.y, r.height]; }})()"
    )
    browser.mouse("mousePressed", x, y + 2)
    for share in (0.1, 0.3):
        browser.mouse("mouseMoved", x, y + share * height)
    browser.mouse("mouseReleased", x, y + 0.3 * height)
    off = browser.run("document.querySelectorAll('.parallel .off').length")
    assert 0 < off < lines
    said = browser.run("document.querySelector('.selection').textContent")
    assert said.startswith(f"{lines - off} of {lines} selected; the best is trial ")
    browser.run(f"{axis}.focus()")
    browser.press("Escape")
    assert browser.run("document.querySelectorAll('.parallel .off').length") == 0


def test_the_switch_of_the_history_works_without_a_script(browser: Browser, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(page)
        click(browser, *centre_of(browser, "label[for='by-time']"))
        shown = "[...document.querySelectorAll('#history svg')].filter(chart => chart.clientHeight)"
        names = browser.run(f"{shown}.map(chart => chart.getAttribute('aria-label'))")
        assert [name.split(" by ")[1] for name in names] == ["minutes since the first trial started"]
        assert browser.run("document.querySelector('.needs-script').clientHeight") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_printed_page_shows_what_is_folded_and_all_histories(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.call("Emulation.setEmulatedMedia", {"media": "print"})
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("[...document.querySelectorAll('#history svg')].every(e => e.clientHeight > 100)")
    assert browser.run("[...document.querySelectorAll('#trials tr')].every(e => e.clientHeight > 0)")
    browser.call("Emulation.setEmulatedMedia", {"media": ""})


def test_the_values_of_the_winner_are_in_sight(browser: Browser, page: Path) -> None:
    """A long range does not move them out of the window, and a command line is wrapped."""
    for width in (1280, 390):
        browser.open(page, width=width)
        assert (
            browser.run("document.querySelector('#parameters td:nth-child(3)').getBoundingClientRect().right") <= width
        )
        assert browser.run("[...document.querySelectorAll('pre')].every(one => one.scrollWidth <= one.clientWidth)")


def test_no_name_of_an_axis_is_cut(browser: Browser, page: Path) -> None:
    browser.open(page)
    cut = browser.run(
        "[...document.querySelectorAll('svg.parallel .name')].filter(one => {"
        " const text = one.getBBox(), box = one.ownerSVGElement.viewBox.baseVal;"
        " return text.x < 0 || text.x + text.width > box.width; }).map(one => one.textContent)"
    )
    assert cut == []
