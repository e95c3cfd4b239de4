"""The dependency rules: a module imports from its own layer or a lower one, between folders and within them.

The order of the layers is the one of the tree in docs/architecture.md.
"""

import ast
import functools
import subprocess
import sys

import pytest

from tests.helpers import ROOT

LAYERS: dict[str, list[str]] = {
    "hearai": [
        "errors threads sign",
        "files metrics",
        "config",
        "cli",
        "data models",
        "training",
        "search",
        "benchmarks reporting",
        "api",
    ],
    "hearai.cli": ["arguments parser preconditions progress ray_auth streams", "completion script"],
    "hearai.config": [
        "limits model_parts yaml_io",
        "field_types validation",
        "model_schema schema",
        "config",
        "overrides",
        "search_space",
        "options_page study_schema",
        "study_check",
        "study",
    ],
    "hearai.config.search_space": ["domains constraints", "space", "grid space_check"],
    "hearai.data": [
        "media",
        "annotations",
        "images landmarks frame_sampling videos",
        "transforms frames",
        "batch",
        "dataset unlabelled",
        "tools",
        "demo importers",
    ],
    "hearai.training": [
        "outputs",
        "runtime",
        "optim",
        "features scores",
        "batches run_state",
        "cost evaluation",
        "trainer",
        "run_writer",
        "fit",
        "setup",
        "inference",
    ],
    "hearai.search": [
        "plan",
        "storage",
        "early_stopping",
        "budget",
        "sampling trial",
        "stage",
        "finals pareto_configs retrain",
        "cluster",
        "estimate tune",
        "run",
    ],
    "hearai.reporting": [
        "figures records text",
        "clip_images run_curve",
        "html_pages",
        "study_report",
        "assessment comparison label_statistics live",
        "prediction study_list",
        "dashboard",
    ],
}
"""{package: its layers from the lowest up}. Entries of one line do not import each other."""

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "hearai").rglob("*.py"))
}
MOST_ENTRIES = 14
MOST_LOOSE_MODULES = 6


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


@functools.cache
def dependencies_of(module: str) -> set[str]:
    """The modules of hearai that a module imports."""
    names = {name for name in imports_of(module) if name.split(".")[0] == "hearai"}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names} - {module}


def entry_of(module: str, package: str) -> str:
    """The module or folder of the package that holds the module."""
    return module.removeprefix(f"{package}.").split(".")[0]


def entries_of(package: str) -> set[str]:
    return {entry_of(module, package) for module in MODULES if module.startswith(f"{package}.")}


@pytest.mark.parametrize("package", LAYERS)
def test_every_entry_of_a_package_has_a_layer(package: str) -> None:
    listed = [entry for layer in LAYERS[package] for entry in layer.split()]
    assert sorted(listed) == sorted(entries_of(package))


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_to_a_lower_layer(package: str) -> None:
    layer_of = {entry: number for number, layer in enumerate(LAYERS[package]) for entry in layer.split()}
    wrong = []
    for module in MODULES:
        for other in dependencies_of(module):
            if module.startswith(f"{package}.") and other.startswith(f"{package}."):
                ours, theirs = entry_of(module, package), entry_of(other, package)
                if ours != theirs and layer_of[theirs] >= layer_of[ours]:
                    wrong.append(f"{module} imports {other}")
    assert not wrong


def test_no_import_cycles() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"import cycle: {' -> '.join([*path[path.index(module) :], module])}"
        if module not in done:
            for other in sorted(dependencies_of(module)):
                visit(other, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_folders_stay_small() -> None:
    folders = {path.parent for path in MODULES.values()}
    for folder in folders:
        entries = [path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
        assert len([path for path in entries if path.name != "__init__.py"]) <= MOST_ENTRIES, folder


def test_few_loose_modules_at_the_root() -> None:
    loose = [path for path in (ROOT / "hearai").glob("*.py") if path.name != "__init__.py"]
    assert len(loose) <= MOST_LOOSE_MODULES


@pytest.mark.parametrize(
    ("library", "users"), [("ray", {"search", "benchmarks"}), ("optuna", {"search", "reporting", "benchmarks"})]
)
def test_ray_and_optuna_are_imported_by_few_packages(library: str, users: set[str]) -> None:
    assert {entry_of(module, "hearai") for module in MODULES if library in packages_of(module)} == users


def test_reporting_never_imports_ray() -> None:
    front = [module for module in MODULES if entry_of(module, "hearai") == "reporting"]
    reached: set[str] = set()
    while front:
        module = front.pop()
        if module not in reached:
            reached.add(module)
            front += dependencies_of(module)
    assert not [module for module in reached if "ray" in packages_of(module)]


@pytest.mark.heavy
def test_the_process_of_a_trial_imports_no_optuna() -> None:
    code = (
        "import sys, hearai.search.trial.one_worker, hearai.search.trial.worker_group\n"
        "assert 'optuna' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)


def test_only_scripts_print() -> None:
    for module in MODULES:
        calls = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
        lines = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert not lines, module


def test_nothing_imports_the_scripts() -> None:
    assert not [module for module in MODULES if "experiments" in packages_of(module)]


def test_the_tree_in_the_documentation_is_complete() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert not [path.name for path in MODULES.values() if path.name != "__init__.py" and f" {path.name}" not in page]


def test_the_map_of_the_code_names_existing_paths() -> None:
    page = (ROOT / "docs" / "where.md").read_text(encoding="utf-8")
    paths = [word for word in page.split("`") if "/" in word and " " not in word]
    assert len(paths) >= 20
    assert not [path for path in paths if not (ROOT / path).exists()]
