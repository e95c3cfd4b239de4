"""The code base never unpickles files or executes their content (see also test_pickle_bombs.py)."""

import ast

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
    """Calls that can execute the content of a file, as `line: call`."""
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name, given = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
        dangerous = name in FORBIDDEN
        dangerous |= name == "torch.load" and given.get("weights_only") != "True"
        dangerous |= (
            name.endswith(("load_state_dict_from_url", "get_state_dict")) and given.get("weights_only") != "True"
        )
        dangerous |= given.get("weights_only", "True") != "True" or given.get("allow_pickle", "False") != "False"
        dangerous |= name == "yaml.load" and not (len(call.args) > 1 and ast.unparse(call.args[1]) in SAFE_LOADERS)
        if dangerous:
            found.append(f"{call.lineno}: {name}")
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    hidden = {f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    return [*found, *sorted(hidden & (FORBIDDEN | {"torch.load", "yaml.load", "numpy.load"}))]


@pytest.mark.heavy
def test_no_code_executes_the_content_of_files() -> None:
    modules = [*ROOT.glob("hearai/**/*.py"), *ROOT.glob("experiments/*.py")]
    assert len(modules) > 200
    found = {str(path): dangers(ast.parse(path.read_text(encoding="utf-8"))) for path in modules}
    assert not {path: calls for path, calls in found.items() if calls}


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
def test_dangerous_calls_are_detected(line: str) -> None:
    assert dangers(ast.parse(line))
