"""Runs that train the gloss and the parts of the notation together."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.data.annotations.load import load_data
from hearai.models.model import build_initial_model
from hearai.sign.hamnosys import HEADS
from hearai.training.batches import Batches
from hearai.training.fit import fit
from hearai.training.inference.assess import assess
from hearai.training.inference.trained_model import load_trained
from hearai.training.runtime import LocalRuntime
from hearai.training.trainer import Trainer

pytestmark = pytest.mark.training

BOTH = {"train_parameters.classification_mode": ["gloss", "hamnosys"]}


def test_clips_with_a_gloss_only_train_that_head(make_config: Callable, make_dataset: Callable):
    signs, notations = make_dataset("signs"), make_dataset("notations", clips=1)
    (signs / "test_hamnosys.txt").unlink()
    (signs / "splits.csv").write_text(
        "name,split\n" + "".join(f"c{i},{'train' if i < 8 else 'val'}\n" for i in range(12))
    )
    (notations / "splits.csv").write_text("name,split\nc0,val\n")
    paths = {"general_parameters.data_path": [str(signs), str(notations)]}
    config = make_config(None, {**BOTH, **paths, "train_parameters.weight_decay": 0})
    data, runtime = load_data(config), LocalRuntime("cpu", signs / "run")
    model = build_initial_model(config, data.num_class)
    before = {name: weight.clone() for name, weight in model.heads.named_parameters()}
    Trainer(config, data, model, runtime, Batches(config, data, model, runtime)).train_epoch(0)
    changed = {name.split(".")[0] for name, weight in model.heads.named_parameters() if not weight.equal(before[name])}
    assert changed == {"gloss"}


def test_every_head_is_scored_and_predicted(make_config: Callable, tiny_dataset: Path, tmp_path: Path):
    rows = (tiny_dataset / "test_hamnosys.txt").read_text().splitlines()
    (tiny_dataset / "test_hamnosys.txt").write_text("\n".join(rows[:9]) + "\n")
    result = fit(make_config(tiny_dataset, {**BOTH, "train_parameters.epochs": 1}), LocalRuntime("cpu", tmp_path))
    heads = ["gloss", *HEADS]
    assert all(f"val/{head}/macro_f1" in result.metrics for head in heads)
    trained = load_trained(tmp_path / "best", torch.device("cpu"))
    assert list(trained.num_class) == heads and sum(trained.train_counts["gloss"]) == len(
        load_data(trained.config).split.train
    )
    scores = assess(trained, split="all")
    assert {head: one.clips for head, one in scores.heads.items()} == {"gloss": 12, **dict.fromkeys(HEADS, 9)}
    assert scores.majority_macro_f1 is not None
