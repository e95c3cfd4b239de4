"""Writes `compare.html`: several studies on one page that needs only a browser."""

import time
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from hearai.errors import UserError
from hearai.files import atomic_write_text, require_writable_file
from hearai.reporting.comparison import differences
from hearai.reporting.comparison.compared import ComparedStudy
from hearai.reporting.comparison.costs import (
    cost_chart,
    cost_rows,
    epochs_of,
    minutes_of,
    seeds_chart,
    target_of,
)
from hearai.reporting.comparison.ranking import Ranking, headline, is_clear, rank, remarks, with_spread
from hearai.reporting.comparison.sources import read_studies
from hearai.reporting.comparison.terminal import terminal_text
from hearai.reporting.html_pages import render_template

TEMPLATES = Path(__file__).with_name("templates")
COSTS = (
    (epochs_of, "epochs trained, all trials together"),
    (minutes_of, "minutes of training, all trials together"),
)


def write_comparison(locations: Sequence[str], page: Path, option: str = "--out") -> str:
    """Compares studies, finished or not, and writes the page; returns a text for the terminal.

    Args:
        locations: folders of studies, or their URIs in an object store; at least two.
        option: what names the page, for messages.

    Raises:
        UserError: lists every problem with the locations and the page; nothing was written.
    """
    problems = _page_problems(page, option)
    try:
        studies = read_studies(locations)
    except UserError as error:
        raise UserError([*error.problems, *problems]) from None
    if problems:
        raise UserError(problems)
    ranking = rank(studies)
    page.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(page, render_comparison(studies, ranking))
    return terminal_text(studies, ranking, page)


def _page_problems(page: Path, option: str) -> list[str]:
    """Why the page cannot be written there."""
    if page.suffix not in (".html", ".htm"):
        return [f"{option} {page}: the page is HTML; give a name that ends in .html"]
    try:
        require_writable_file(page, option)
    except UserError as error:
        return error.problems
    return []


def render_comparison(studies: Sequence[ComparedStudy], ranking: Ranking) -> str:
    """The page of a comparison."""
    target = target_of(ranking.ranked)
    values = {
        "studies": studies,
        "ranking": ranking,
        "headline": headline(ranking),
        "is_clear": is_clear(ranking),
        "remarks": remarks(ranking, studies),
        "with_spread": with_spread,
        "written": time.strftime("%F %T"),
        "seeds_chart": "" if ranking.obstacles else seeds_chart(studies),
        "charts": _charts(studies, ranking),
        "costs": cost_rows(ranking.in_order(studies), target),
        "target": target,
        "differences": [
            ("Search spaces", "Parameters that are searched differently.", differences.space_differences(studies)),
            ("Settings", "Sampler, budget, early stopping, code.", differences.setting_differences(studies)),
            ("Base configs", "Options of trial 0 of each study.", differences.config_differences(studies)),
            ("Winners", "Options of the winners' configs.", differences.winner_differences(studies)),
        ],
    }
    return render_template(TEMPLATES, "compare.html.j2", values)


def _charts(studies: Sequence[ComparedStudy], ranking: Ranking) -> list[tuple[str, dict[str, Markup]]]:
    """(title, {what the cost is: chart}): of all studies together; of studies that cannot be compared, one by one."""
    numbered = list(enumerate(studies))
    if not ranking.obstacles:
        return [("", {name: chart for cost, name in COSTS if (chart := cost_chart(numbered, cost, name))})]
    cost, name = COSTS[0]
    charts = [(one.label, cost_chart([(number, one)], cost, name)) for number, one in numbered]
    return [(label, {name: chart} if chart else {}) for label, chart in charts]
