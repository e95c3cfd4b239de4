"""No code of ours unpickles a file or runs what it says (what happens if one is a bomb: test_pickle_bombs.py)."""

import ast
from pathlib import Path

import pytest

from tests.helpers import ROOT

FORBIDDEN = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "cloudpickle.load",
    "cloudpickle.loads",
    "dill.load",
    "dill.loads",
    "joblib.load",
    "shelve.open",
    "marshal.load",
    "marshal.loads",
    "eval",
    "exec",
    "yaml.unsafe_load",
    "yaml.full_load",
    "yaml.load_all",
    "ray.tune.Tuner.restore",
    "Tuner.restore",
    "pandas.read_pickle",
    "pd.read_pickle",
    "torch.hub.load",
}
SAFE_LOADERS = {"_StrictLoader", "yaml.SafeLoader"}


def dangers(tree: ast.AST) -> list[str]:
    """Calls that may run what a file says, as `line: call`."""
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name, given = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
        odd = name in FORBIDDEN
        odd |= name == "torch.load" and given.get("weights_only") != "True"
        odd |= name.endswith(("load_state_dict_from_url", "get_state_dict")) and given.get("weights_only") != "True"
        odd |= given.get("weights_only", "True") != "True" or given.get("allow_pickle", "False") != "False"
        odd |= name == "yaml.load" and not (len(call.args) > 1 and ast.unparse(call.args[1]) in SAFE_LOADERS)
        if odd:
            found.append(f"{call.lineno}: {name}")
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    hidden = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    return [*found, *sorted(hidden & (FORBIDDEN | {"torch.load", "yaml.load", "numpy.load"}))]


@pytest.mark.parametrize("path", sorted([*ROOT.glob("hearai/**/*.py"), *ROOT.glob("experiments/*.py")]), ids=str)
def test_no_code_unpickles_or_runs_what_a_file_says(path: Path) -> None:
    assert dangers(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, yaml.Loader)",
        "yaml.load(text)",
        "ray.tune.Tuner.restore(path)",
        "eval(text)",
        "from pickle import loads",
        "weights.get_state_dict(check_hash=True)",
    ],
)
def test_the_rule_sees_what_it_forbids(line: str) -> None:
    assert dangers(ast.parse(line))
