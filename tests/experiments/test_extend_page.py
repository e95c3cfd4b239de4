"""docs/extend.md: its example trains, is searched, and is loaded again, with its code only."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT

pytestmark = pytest.mark.training


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The folder MYCODE of the page."""
    page = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    folder = tmp_path / "MYCODE"
    folder.mkdir()
    for name, language in (("my_parts.py", "python"), ("my_space.yaml", "yaml")):
        (block,) = re.findall(rf"```{language}\n(.*?)```", page, re.S)
        (folder / name).write_text(block)
    return folder


def test_example_trains_and_loads_with_its_code(
    example: Path, make_dataset: Callable, call: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, run, config = make_dataset(landmarks=True), tmp_path / "run", tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load((example / "my_space.yaml").read_text())["config"]))
    options = ["--set", "train_parameters.epochs=1", "--set", "general_parameters.gpu=-1"]
    options += ["--set", f"general_parameters.path_to_save={run}", "--data-path", data]
    code, _, errors = call("train", "--config", config, "--code", example, *options)
    assert code == 0, errors
    assert json.loads((run / "code.json").read_text())["path"] == str(example)
    code, _, errors = call("evaluate", "--checkpoint", run, "--code", example, "--gpu", -1, "--split", "val")
    assert code == 0 and "other code" not in caplog.text, errors
    (example / "my_parts.py").write_text((example / "my_parts.py").read_text() + "\n# changed\n")
    call("evaluate", "--checkpoint", run, "--code", example, "--gpu", -1, "--split", "val")
    assert "made with other code of your own" in caplog.text


def test_without_the_code_there_is_one_message(example: Path, call: Callable) -> None:
    code, _, errors = call("tune", "--space", example / "my_space.yaml", "--dry-run")
    assert code == 2 and errors.count("its code is not known; add --code DIR") == 2, "the extractor and the loss"


def test_values_of_the_space_are_checked_first(example: Path, call: Callable) -> None:
    code, output, errors = call("tune", "--space", example / "my_space.yaml", "--code", example, "--dry-run")
    assert code == 0 and "feature_extractor.kwargs.width: " in output, errors
    wrong = "feature_extractor.kwargs.width={choice: [16, 0]}"
    code, _, errors = call(
        "tune", "--space", example / "my_space.yaml", "--code", example, "--dry-run", "--space-set", wrong
    )
    assert code == 2 and "the attribute `width` is 0" in errors
