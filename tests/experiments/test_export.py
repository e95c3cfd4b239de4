"""export.py on a small trained run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.training


def test_the_exported_file_is_in_the_checkpoint_folder(call: Callable, run: Path):
    code, out, _ = call("export", "--checkpoint", run, "--to", "pt2")
    assert code == 0 and (run / "best" / "model.pt2").is_file() and "largest difference from the model's outputs" in out
    description = json.loads((run / "best" / "model.json").read_text())
    assert description["outputs"]["gloss"]["classes"] == ["house", "tree", "cat"]


def test_a_path_that_cannot_hold_the_model_is_refused_first(call: Callable, run: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    for path, reason in ((tmp_path, "a folder"), (tmp_path / "file" / "x", "is a file"), ("m.json", "the description")):
        code, out, err = call("export", "--checkpoint", run, "--to", "pt2", "--out", path)
        assert code == 2 and reason in err and not out
