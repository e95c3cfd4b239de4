"""The generated pages are up to date, and the site of `make docs` has every page and no broken link."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from docs.tools import architecture_tree, commands_page, site
from tests.helpers import ROOT


@pytest.mark.parametrize(
    ("page", "generate"),
    [
        (architecture_tree.PAGE, architecture_tree.architecture_page),
        (commands_page.PAGE, commands_page.commands_page),
    ],
    ids=["architecture", "commands"],
)
@pytest.mark.heavy
def test_a_generated_page_is_up_to_date(page: Path, generate: Callable[[], str]) -> None:
    assert page.read_text(encoding="utf-8") == generate(), "the code has changed: run `make docs`"


def test_the_page_of_commands_has_every_option() -> None:
    page = commands_page.PAGE.read_text(encoding="utf-8")
    for script, parser in commands_page.script_parsers().items():
        section = page.partition(f"### {script}.py\n")[2].partition("\n### ")[0]
        for part in (parser, *parser.commands().values()):
            options = [option for action in part.arguments() for option in action.option_strings]
            assert not [option for option in options if f"{option}" not in section], script


def test_the_tree_has_the_first_sentence_of_each_docstring(tmp_path: Path) -> None:
    (tmp_path / "package" / "inner").mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").write_text('"""Everything."""\n')
    (tmp_path / "package" / "a.py").write_text('"""Does this.\n\nAnd more."""\n')
    (tmp_path / "package" / "longer.py").write_text('"""Does that. `x` is left out."""\n')
    (tmp_path / "package" / "inner" / "__init__.py").write_text('"""Inside."""\n')
    lines = list(architecture_tree.tree(tmp_path / "package"))
    assert lines == [
        "package/  Everything.",
        "  a.py       Does this.",
        "  longer.py  Does that.",
        "  inner/  Inside.",
    ]
    assert architecture_tree.with_tree("A\n```text\nhearai/ old\n```\nB\n", lines[:1]) == (
        "A\n```text\npackage/  Everything.\n```\nB\n"
    )


def test_every_page_is_in_the_navigation() -> None:
    text = site.CONFIG.read_text(encoding="utf-8").replace("!ENV", "")
    listed = re.findall(r": (\S+\.md)$", yaml.dump(yaml.safe_load(text)["nav"], width=1000), re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(ROOT)) for page in site.pages())


@pytest.mark.heavy
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed; `make docs` does it")
def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    assert site.build(tmp_path / "site") == 0
    for name in ("index.html", "docs/quickstart.html", "docs/faq.html", "cluster/index.html"):
        page = (tmp_path / "site" / name).read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://', page), "a request to another server"
