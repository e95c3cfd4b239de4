"""Commands, options, links and YAML in the README and docs/ are valid."""

import inspect
import re
from pathlib import Path

import pytest

from hearai.cli import add_code_option, add_data_options
from hearai.config.config import build_config
from hearai.config.study import Request, load_study
from hearai.config.yaml_io import parse_yaml
from tests.helpers import ROOT

PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "cluster").rglob("*.md"))
SHARED_OPTIONS = (add_code_option, add_data_options)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_scripts_options_and_links_of_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for script, options in re.findall(r"python experiments/(\w+\.py)([^\n]*(?:\\\n[^\n]*)*)", text):
        scripts = [script, "tune.py"] if script == "submit.py" else [script]  # it passes its options on
        source = "".join((ROOT / "experiments" / name).read_text(encoding="utf-8") for name in scripts)
        if script == "benchmark.py":
            source += (ROOT / "hearai/benchmarks/speed/options.py").read_text(encoding="utf-8")
        source += "".join(inspect.getsource(shared) for shared in SHARED_OPTIONS if f"{shared.__name__}(" in source)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z_-]+", options.split("#")[0]):
            assert f'"{option}"' in source, f"{page.name}: {script} has no {option}"
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert "actions/workflows" in target or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_config_and_study_in_the_pages_loads(tmp_path: Path) -> None:
    blocks = [block for page in PAGES for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S)]
    assert blocks
    for block in blocks:
        if "\nspace:" in block:
            (tmp_path / "study.yaml").write_text(block)
            load_study(Request(str(tmp_path / "study.yaml")))
        else:
            build_config(parse_yaml(block, "docs"), "docs")
