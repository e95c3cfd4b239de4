"""`--checkpoint` of evaluate.py, predict.py and export.py: unusable checkpoints."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.training.outputs.checkpoint import load_checkpoint

pytestmark = pytest.mark.training


class FileCreator:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def damage(kind: str, run: Path, tmp_path: Path) -> None:
    file = run / "best" / "state.pt"
    if kind == "pickle":
        file.write_bytes(pickle.dumps(FileCreator(tmp_path / "executed")))
    elif kind == "pickle inside":
        torch.save({**load_checkpoint(run / "best"), "class_names": FileCreator(tmp_path / "executed")}, file)
    elif kind == "odd names":
        torch.save({**load_checkpoint(run / "best"), "class_names": [1]}, file)
    elif kind == "truncated":
        file.write_bytes(file.read_bytes()[:5000])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "other architecture":
        state = load_checkpoint(run / "best")
        state["config"]["transformer"]["output_size"] = 24
        torch.save(state, file)
    elif kind == "no state":
        torch.save({"weights": torch.zeros(2)}, file)
    elif kind == "a list":
        torch.save([1, 2], file)
    else:
        shutil.rmtree(run / "best")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("pickle", "cannot be read as a checkpoint"),
        ("pickle inside", "cannot be read as a checkpoint"),
        ("odd names", "state.pt: is not the checkpoint of a run (class_names: got [1]; must be a mapping)"),
        ("truncated", "cannot be read as a checkpoint"),
        ("empty", "cannot be read as a checkpoint"),
        ("other architecture", "the weights do not fit the config beside them"),
        ("no state", "lacks model, config, num_class"),
        ("a list", "cannot be read as a checkpoint"),
        ("missing", "holds neither state.pt nor best/state.pt"),
    ],
)
@pytest.mark.parametrize("script", ["evaluate", "predict", "export"])
def test_unusable_checkpoints_are_refused_without_running_code(
    call: Callable, run: Path, data: Path, tmp_path: Path, script: str, kind: str, message: str
):
    damage(kind, run, tmp_path)
    options = {"evaluate": [], "predict": [data / "c0"], "export": ["--to", "pt2"]}[script]
    code, _, err = call(script, "--checkpoint", run, *options)
    assert code == 2 and str(run) in err and message in err and "Traceback" not in err
    assert "weights_only" not in err and "trust" not in err, "torch's advice to load it nevertheless"
    assert not (tmp_path / "executed").exists()
