"""The house rules that imports can break: a module imports from its own floor or a lower one, never from above."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GROUND = (
    "cli",
    "ray_token",
    "code_version",
    "config",
    "domains",
    "errors",
    "files",
    "grid",
    "hamnosys",
    "metrics",
    "options",
    "overrides",
    "rules",
    "sections",
    "skeleton",
    "space",
    "study",
    "study_file",
    "validation",
    "yamls",
)
FLOORS = {
    **dict.fromkeys(GROUND, 0),
    "data": 1,
    "models": 1,
    "training": 2,
    "search": 3,
    "reporting": 4,
    "benchmarks": 4,
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted((ROOT / "hearai").rglob("*.py"))
}


@functools.cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@functools.cache
def imports_of(module: str) -> set[str]:
    """Full names of everything imported, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import; give the full name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages_of(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports_of(module)}


def ours(module: str) -> set[str]:
    """The modules of hearai that a module imports."""
    names = {name for name in imports_of(module) if name.split(".")[0] == "hearai"}
    modules = {name if name in MODULES else name.rpartition(".")[0] for name in names}
    return {name if name in MODULES else f"{name}.__init__" for name in modules}


def room(module: str) -> str:
    return (module.split(".") + ["__init__"])[1]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_or_stay_on_their_floor(module: str) -> None:
    if room(module) == "__init__":
        assert not ours(module)
        return
    assert room(module) in FLOORS, f"{module} has no floor; give it one in FLOORS, and in the README's picture"
    for other in ours(module):
        assert FLOORS[room(other)] <= FLOORS[room(module)], f"{module} imports {other}, which is above it"
        assert {room(module), room(other)} != {"data", "models"}, f"{module} imports {other}: neighbours do not mix"


@pytest.mark.parametrize(
    ("package", "rooms"), [("ray", {"search", "benchmarks"}), ("optuna", {"search", "reporting", "benchmarks"})]
)
def test_ray_and_optuna_stay_in_their_rooms(package: str, rooms: set[str]) -> None:
    users = {room(module) for module in MODULES if package in packages_of(module)}
    assert users == rooms


def test_a_report_never_brings_ray_along() -> None:
    front = [module for module in MODULES if room(module) == "reporting"]
    reached: set[str] = set()
    while front:
        module = front.pop()
        if module not in reached:
            reached.add(module)
            front += ours(module)
    assert not [module for module in reached if "ray" in packages_of(module)]


@pytest.mark.parametrize("module", MODULES)
def test_only_experiments_print(module: str) -> None:
    calls = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def test_scripts_are_thin_nothing_imports_them() -> None:
    assert not [module for module in MODULES if "experiments" in packages_of(module)]
