"""What `pip install -e '.[search]'` installs is enough to search: packages that modules import are dependencies."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers import ROOT

NAMES = {"PIL": "pillow", "yaml": "pyyaml"}
"""{package: its name in the registry}, where they differ."""
BROUGHT = {
    "aiohttp": "ray",
    "huggingface_hub": "timm",
    "markupsafe": "jinja2",
    "pyarrow": "ray",
    "pydantic_core": "pydantic",
    "requests": "ray",
    "safetensors": "timm",
}
"""{package: the dependency that requires it}"""


def declared() -> set[str]:
    """The names of the dependencies and those of the extra `search`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["search"]]
    return {re.split(r"[\[<>=]", line)[0].lower() for line in lines}


def packages_imported_at_once(path: Path) -> set[str]:
    """Top-level names of what the module imports outside of functions."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.heavy
def test_modules_import_only_declared_packages() -> None:
    scripts = list((ROOT / "experiments").glob("*.py"))
    own = {"hearai", *(path.stem for path in scripts), *sys.stdlib_module_names}
    allowed, missing = declared(), {}
    for path in [*(ROOT / "hearai").rglob("*.py"), *scripts]:
        others = packages_imported_at_once(path) - own
        names = {NAMES.get(name, BROUGHT.get(name, name)) for name in others}
        if names - allowed and "peers" not in path.parts:  # those run in a Python of their own
            missing[path.name] = names - allowed
    assert not missing
