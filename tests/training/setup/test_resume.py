"""`train.py --resume` continues the run in the folder, or says what differs from it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.config.config import Config, build_config, load_config
from hearai.config.overrides import override
from hearai.data.annotations.fingerprint import FINGERPRINT_KINDS
from hearai.errors import ConfigError
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.single_run import prepare_run, run_single

pytestmark = pytest.mark.training


@pytest.fixture
def run(tiny_config: Config, tmp_path: Path) -> Path:
    """The folder of a run of two epochs; its config has the folder as path_to_save."""
    folder = tmp_path / "run"
    config, _ = prepare_run(override(tiny_config, {"general_parameters.path_to_save": str(folder)}), folder)
    run_single(config, folder)
    return folder


def resumed(run: Path, changes: dict, config: Config | None = None) -> list[str]:
    """What is wrong with resuming the run with changed values; empty if it is resumed."""
    try:
        prepare_run(override(config or load_config(run / "config.yaml"), changes), run, resume=True)
    except ConfigError as error:
        return error.problems
    return []


def test_what_is_trained_must_not_change(run: Path) -> None:
    changes = {
        "general_parameters.split_seed": 5,
        "general_parameters.seed": 1,
        "general_parameters.ratio_test": 0.3,
        "general_parameters.fold": 1,
        "train_parameters.lr": 0.01,
        "train_parameters.optimizer": "sgd",
        "train_parameters.batch_size": 2,
        "train_parameters.num_segments": 2,
        "transformer.output_size": 8,
        "freeze_scheduler.model_params": {"transformer": [True]},
    }
    before = (run / "config.yaml").read_bytes()
    for path, value in changes.items():
        first, change = resumed(run, {path: value})[:2]
        assert first.startswith(f"{run}: holds a run of another config or dataset") and change.startswith(f"  {path}")
    problems = resumed(run, changes)
    assert "  train_parameters.optimizer: was adamw, is sgd" in problems
    assert len(problems) >= 1 + len(changes)
    assert (run / "config.yaml").read_bytes() == before


def test_where_and_how_long_it_runs_may_change(run: Path) -> None:
    free = {
        "general_parameters.gpu": 0,
        "general_parameters.workers": 2,
        "train_parameters.epochs": 5,
        "train_parameters.gradient_accumulation": 2,
        "freeze_scheduler.verbose": False,
    }
    assert resumed(run, free) == []
    assert "train_parameters.epochs: 1, but 2 epochs are finished" in resumed(run, {"train_parameters.epochs": 1})[1]
    config, _ = prepare_run(
        override(load_config(run / "config.yaml"), {"train_parameters.epochs": 3}), run, resume=True
    )
    assert run_single(config, run, resume=True).epochs == 3


def test_another_dataset_is_refused_and_a_moved_one_is_not(
    run: Path, tiny_dataset: Path, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    other = make_dataset("other", clips=15)
    problems = resumed(run, {"general_parameters.data_path": str(other)})
    assert "  the dataset: files or labels were changed, added or removed" in problems
    assert any("data_path" in problem and str(other) in problem for problem in problems)
    copy = shutil.copytree(tiny_dataset, tmp_path / "elsewhere" / tiny_dataset.name)
    assert resumed(run, {"general_parameters.data_path": str(copy)}) == []
    renamed = copy.rename(copy.with_name("another name"))
    problems = resumed(run, {"general_parameters.data_path": str(renamed)})
    assert problems[1] == "  the dataset: its folder was renamed", "augmentation is drawn from its name"


def test_classes_may_get_names_but_not_other_names(run: Path, tiny_dataset: Path, tmp_path: Path) -> None:
    named = shutil.copytree(tiny_dataset, tmp_path / "named" / tiny_dataset.name)
    at_named = {"general_parameters.data_path": str(named)}
    (named / "glosses.csv").write_text("name,word,gloss_id\nc0,house,0\nc1,tree,1\nc2,cat,2\nc3,dog,3\n")
    assert resumed(run, at_named) == [], "it had none"
    state = load_checkpoint(run / "last")
    state["class_names"] = {"gloss": {0: "house", 1: "cat", 2: "tree", 3: "cow"}}
    save_checkpoint(run / "last", state)
    expected = ["  gloss 1 was 'cat', is 'tree' in glosses.csv", "  gloss 2 was 'tree', is 'cat' in glosses.csv"]
    assert resumed(run, at_named)[1:] == expected, "no clip is a dog"


def test_a_run_of_older_code_is_resumed(run: Path, make_dataset: Callable[..., Path]) -> None:
    """Its checkpoint knows no fingerprint, so the folder is compared."""
    state = load_checkpoint(run / "last")
    for key in (*FINGERPRINT_KINDS, "class_names", "config"):
        del state[key]
    save_checkpoint(run / "last", state)
    assert resumed(run, {}) == []
    other = str(make_dataset("other"))
    assert resumed(run, {"general_parameters.data_path": other})[1].startswith("  general_parameters.data_path: was ")


def test_an_edited_config_file_is_not_taken_for_that_of_the_run(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("split_seed: 0", "split_seed: 5"))
    assert resumed(run, {})[1:] == ["  general_parameters.split_seed: was 0, is 5"]
    (run / "config.yaml").unlink()
    assert resumed(run, {}, build_config(load_checkpoint(run / "last")["config"])) == [], "the checkpoint has it"


def test_the_checkpoint_of_another_run_is_refused(run: Path, tmp_path: Path) -> None:
    other = override(load_config(run / "config.yaml"), {"train_parameters.lr": 0.5})
    fit(other, LocalRuntime("cpu", tmp_path / "other"))
    shutil.copytree(tmp_path / "other" / "last", run / "last", dirs_exist_ok=True)
    assert resumed(run, {})[1:] == ["  train_parameters.lr: was 0.5, is 0.001"]


def test_what_the_config_leaves_open_is_as_in_the_run(run: Path, tiny_config: Config, tmp_path: Path) -> None:
    """Older code froze random weights by default, and weights may have become available since."""
    auto = override(tiny_config, {"feature_extractor.pretrained": "auto"})
    assert not auto.states_frozen_parts
    frozen = override(tiny_config, {"freeze_scheduler.model_params": {"feature_extractor.backbone": [True]}})
    fit(frozen, LocalRuntime("cpu", tmp_path / "older"))
    for folder in (run, tmp_path / "older"):
        assert resumed(folder, {"general_parameters.path_to_save": str(folder)}, auto) == []


def test_resuming_needs_the_folder_of_the_run(
    run: Path, tiny_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert "--resume: which run?" in resumed(run, {}, tiny_config)[0]
    config = override(tiny_config, {"general_parameters.path_to_save": str(tmp_path / "rum")})
    prepare_run(config, tmp_path / "rum", resume=True)  # a job that is always started with --resume begins like this
    assert "rum: holds no run to resume; training starts with epoch 1" in caplog.text


def test_train_py_lists_the_differences(call: Callable, run: Path) -> None:
    changes = ("--set", "general_parameters.split_seed=5", "--set", "train_parameters.optimizer=sgd")
    code, _, err = call("train", "--config", run / "config.yaml", "--resume", *changes)
    assert code == 2 and "split_seed: was 0, is 5" in err and "optimizer: was adamw, is sgd" in err
    code, out, err = call("train", "--config", run / "config.yaml", "--set", "train_parameters.epochs=3", "--resume")
    assert code == 0 and "of 3" in out, err
