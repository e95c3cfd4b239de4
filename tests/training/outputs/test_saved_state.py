"""Checkpoints with other content than a run writes are refused with one message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hearai.config.config import Config
from hearai.errors import ConfigError
from hearai.training.fit import fit
from hearai.training.inference.trained_model import load_trained
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint
from hearai.training.runtime import LocalRuntime

pytestmark = pytest.mark.training

BEST_CONTENTS: dict[str, list[Any]] = {
    "trained_clips": [[(1, 2)], torch.zeros(3, 2), torch.zeros(3, 1, dtype=torch.int64)],
    "class_names": [[1], {1: {0: "cat"}}, {"gloss": {"0": "cat"}}, {"other": {0: "cat"}}, "text"],
    "num_class": [[3], {"gloss": "3"}, {"gloss": True}, {"gloss": -1}, {1: 3}, {}, {"other": 3}, {"gloss": 10**12}],
    "train_counts": ["many", {"gloss": ["1", "2", "3"]}, {"gloss": [1]}, {"gloss": None}],
    "model": [[], {1: torch.zeros(1)}, {"a": 1}, {}, None],
    "config": [None, [1], {1: 2}, {"train_parameters": {"lr": "fast"}}],
    "fingerprint": [1],
    "metrics": [{"epoch": "one"}],
}
LAST_CONTENTS: dict[str, list[Any]] = {
    "model": [None, {1: torch.zeros(1)}, {"transformer.output.bias": torch.zeros(99)}],
    "optimizer": [None, {"state": {}, "param_groups": []}, {"state": {0: {"x": torch.zeros(1)}}, "param_groups": [{}]}],
    "backbone": [1, "another"],
    "begun": [[1], {"steps": "1"}, {"steps": 1, "sums_2H": torch.zeros(3), "generators_WG": torch.zeros(1)}],
    "progress": [
        None,
        {},
        {"epoch": 10**30},
        {"epoch": 1, "unknown": 1},
        {"history": [1, 2]},
        {"history": [{}, {}]},
        {"best": "high"},
        {"best_epoch": 9},
        {"best_weights": {"no": torch.zeros(1)}},
        {"best_confusions": {"gloss": torch.zeros(1, 2)}},
    ],
}


@pytest.fixture
def run(tiny_config: Config, tmp_path: Path) -> Path:
    fit(tiny_config, LocalRuntime("cpu", tmp_path / "run"))
    return tmp_path / "run"


def refusals(folder: Path, contents: dict[str, list[Any]], read: Callable[[], Any]) -> list[str]:
    """The message for each content of each key; what is accepted is missing."""
    state, messages = load_checkpoint(folder), []
    for key, values in contents.items():
        for value in values:
            merged = {**state[key], **value} if key == "progress" and value else value
            save_checkpoint(folder, {**state, key: merged})
            with pytest.raises(ConfigError) as refused:
                read()
            assert len(refused.value.problems) == 1 and str(folder.parent) in str(refused.value), (key, value)
            messages.append(str(refused.value))
    save_checkpoint(folder, state)
    return messages


def test_a_model_with_other_content_is_refused(run: Path) -> None:
    refusals(run / "best", BEST_CONTENTS, lambda: load_trained(run / "best", torch.device("cpu")))
    weights = load_checkpoint(run / "best")["model"]
    broken = {name: tensor / 0 if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    (message,) = refusals(run / "best", {"model": [broken]}, lambda: load_trained(run / "best", torch.device("cpu")))
    assert "values that are not finite numbers" in message
    assert load_trained(run / "best", torch.device("cpu")).num_class == {"gloss": 3}


def test_a_state_with_other_content_is_not_resumed(run: Path, tiny_config: Config) -> None:
    refusals(run / "last", LAST_CONTENTS, lambda: fit(tiny_config, LocalRuntime("cpu", run, resume=True)))
    assert fit(tiny_config, LocalRuntime("cpu", run, resume=True)).epochs == 2


def test_the_state_of_another_optimizer_is_not_resumed(run: Path, tiny_config: Config) -> None:
    groups = load_checkpoint(run / "last")["optimizer"]["param_groups"]
    sgd = {"state": {0: {"momentum_buffer": torch.zeros(1)}}, "param_groups": groups}
    contents = {"optimizer": [sgd]}
    (message,) = refusals(run / "last", contents, lambda: fit(tiny_config, LocalRuntime("cpu", run, resume=True)))
    assert "holds an unfinished run of another config (optimizer: " in message
