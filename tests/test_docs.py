"""Links, anchors and YAML in the pages are valid; their commands are tested in tests/docs/test_commands.py."""

import re
from pathlib import Path

import pytest

from hearai.config.config import build_config
from hearai.config.study import Request, load_study
from hearai.config.yaml_io import parse_yaml
from tests.helpers import ROOT
from tests.helpers.documented_commands import PAGES

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_of_a_page_exist(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "actions/workflows" not in target:  # exists on GitHub only
            linked = page.parent / target if target else page
            assert linked.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors_of(linked), f"{page.name}: {target}#{anchor}"


def test_every_config_and_study_in_the_pages_loads(tmp_path: Path) -> None:
    blocks = [block for page in PAGES for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S)]
    assert blocks
    for block in blocks:
        if "\nspace:" in block:
            (tmp_path / "study.yaml").write_text(block)
            load_study(Request(str(tmp_path / "study.yaml")))
        else:
            build_config(parse_yaml(block, "docs"), "docs")
