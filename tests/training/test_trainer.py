"""The steps of a run: gradient accumulation, class weights, idle heads, freezing, and compiling."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hearai.config.config import Config, to_yaml
from hearai.data.annotations.load import load_data
from hearai.sign.hamnosys import HEADS
from hearai.training.fit import fit
from hearai.training.optim.loss import balanced_weights
from hearai.training.optim.torch_options import can_compile
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime
from tests.helpers import ROOT

pytestmark = pytest.mark.training

NO_DROPOUT = {"transformer.dropout_rate": 0.0, "train_parameters.epochs": 2, "train_parameters.batch_size": 5}


class ForwardPasses(LocalRuntime):
    """Records the reports, and for each training forward pass the number of clips and the heads computed."""

    def __init__(self, folder: Path):
        super().__init__("cpu", folder)
        self.reports: list[dict[str, float]] = []
        self.sizes: list[int] = []
        self.heads: set[str] = set()
        self._hooked = False

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        if not self._hooked:
            model.register_forward_hook(self._record)
            self._hooked = True
        return model

    def _record(self, model: torch.nn.Module, inputs: tuple, logits: dict) -> None:
        if model.training:
            self.sizes.append(len(inputs[1]))
            self.heads |= set(logits)

    def report(self, metrics: dict[str, float], checkpoint: Path | None) -> None:
        self.reports.append(metrics)


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "last")["model"]


def assert_same_weights(one: Path, other: Path, atol: float) -> None:
    found, expected = last_weights(one), last_weights(other)
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        if not name.endswith("in_proj_bias"):  # attention ignores the keys' bias: Adam magnifies its rounding noise
            assert torch.allclose(tensor, expected[name], atol=atol), name


def fitted(config: Config, folder: Path) -> ForwardPasses:
    runtime = ForwardPasses(folder)
    fit(config, runtime)
    return runtime


def test_gradient_accumulation_takes_the_same_step(
    make_config: Callable[..., Config], make_dataset: Callable[..., Path], tmp_path: Path
):
    folder = make_dataset(clips=14, signers=0)
    weighted = {"train_parameters.class_weights": "balanced", "train_parameters.gradient_clip": 0.5}
    runs = {}
    for parts in (1, 3):
        config = make_config(folder, {**NO_DROPOUT, **weighted, "train_parameters.gradient_accumulation": parts})
        runs[parts] = fitted(config, tmp_path / str(parts))
    assert max(runs[1].sizes) == 5 and max(runs[3].sizes) == 2
    assert sum(runs[1].sizes) == sum(runs[3].sizes), "every clip once per epoch"
    assert_same_weights(tmp_path / "1", tmp_path / "3", atol=1e-5)
    for one, three in zip(runs[1].reports, runs[3].reports, strict=True):
        assert three["train/loss"] == pytest.approx(one["train/loss"], abs=1e-5)


def test_class_weights_apply_to_the_training_loss_only(
    make_config: Callable[..., Config], make_dataset: Callable[..., Path], tmp_path: Path
):
    """The learning rate is so low that all losses are those of the initial model."""
    folder = make_dataset(clips=16, signers=0)
    rows = (folder / "test_gloss.txt").read_text().splitlines()
    rare = [f"{row.rsplit(' ', 1)[0]} {0 if i % 4 else 2}" for i, row in enumerate(rows)]
    (folder / "test_gloss.txt").write_text("\n".join(rare) + "\n")
    unchanged = {
        **NO_DROPOUT,
        "train_parameters.epochs": 1,
        "train_parameters.lr": 1e-9,
        "train_parameters.batch_size": 99,
    }
    losses = {}
    for kind in ("none", "balanced"):
        config = make_config(folder, {**unchanged, "train_parameters.class_weights": kind})
        losses[kind] = fitted(config, tmp_path / kind).reports[0]
    assert losses["balanced"]["val/loss"] == pytest.approx(losses["none"]["val/loss"], abs=1e-6)
    labels = [clip.labels["gloss"] for clip in load_data(config).split.train]
    weights = balanced_weights(labels, 3)
    assert weights[1] == 0 and weights[2] > weights[0]
    assert abs(losses["balanced"]["train/loss"] - losses["none"]["train/loss"]) > 1e-4


def test_a_head_of_weight_zero_is_not_computed_in_training(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    names = list(HEADS)
    values = {f"heads.hamnosys.{name}.loss_weight": 0.0 for name in names[:3]}
    values |= {"train_parameters.classification_mode": "hamnosys", "train_parameters.class_weights": "balanced"}
    runtime = fitted(make_config(tiny_dataset, values), tmp_path)
    assert runtime.heads == set(names[3:])
    assert all(f"val/{name}/macro_f1" in runtime.reports[0] for name in names)


@pytest.mark.parametrize("verbose", [True, False])
def test_changes_of_frozen_parts_are_logged_if_verbose(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, verbose
):
    config = make_config(
        tiny_dataset,
        {
            **NO_DROPOUT,
            "train_parameters.batch_size": 2,
            "freeze_scheduler.model_params": {"transformer": [True, False], "feature_extractor.backbone": [True, True]},
            "freeze_scheduler.freeze_pattern_repeats": [1, 1],
            "freeze_scheduler.freeze_mode": "step",
            "freeze_scheduler.verbose": verbose,
        },
    )
    with caplog.at_level(logging.INFO):
        runtime = fitted(config, tmp_path)
    logged = [record.getMessage() for record in caplog.records if "frozen:" in record.getMessage()]
    expected = ["step 1: frozen: feature_extractor.backbone, transformer", "step 2: frozen: feature_extractor.backbone"]
    assert logged == ([*expected, "step 3: frozen: nothing"] if verbose else [])
    steps = len(runtime.sizes) // 2
    assert [m["frozen/transformer"] for m in runtime.reports] == pytest.approx([1 / steps, 0])
    assert [m["frozen/feature_extractor.backbone"] for m in runtime.reports] == pytest.approx([2 / steps, 0])


def test_the_optimizer_uses_the_one_cycle_schedule(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    values = {**NO_DROPOUT, "train_parameters.lr_schedule": "one_cycle", "train_parameters.lr": 0.01}
    runtime = fitted(make_config(tiny_dataset, values), tmp_path)
    assert runtime.reports[-1]["lr"] == pytest.approx(0.01 / 25 / 1e4)


@pytest.mark.slow
def test_a_compiled_run_equals_a_plain_one(
    make_config: Callable[..., Config], make_dataset: Callable[..., Path], tmp_path: Path
):
    if not can_compile("cpu"):
        pytest.skip("no C++ compiler on this machine")
    values = {
        **NO_DROPOUT,
        "transformer.dropout_rate": 0.2,
        "freeze_scheduler.model_params": {"transformer": [True, False], "feature_extractor.backbone": [True, True]},
        "freeze_scheduler.freeze_pattern_repeats": [1, 9],
    }
    folder = make_dataset(clips=14, signers=0)
    plain = fitted(make_config(folder, values), tmp_path / "plain")
    runtime = LocalRuntime("cpu", tmp_path / "compiled")
    fit(make_config(folder, {**values, "train_parameters.compile": True}), runtime)
    assert_same_weights(tmp_path / "plain", tmp_path / "compiled", atol=1e-5)
    best = load_checkpoint(tmp_path / "compiled" / "best")
    assert not any("_orig_mod" in name for name in [*best["model"], *last_weights(tmp_path / "compiled")])
    assert best["metrics"]["val/loss"] == pytest.approx(plain.reports[best["epoch"] - 1]["val/loss"], abs=1e-4)


@pytest.mark.slow
def test_a_compiled_step_equals_a_plain_one(make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path):
    if not can_compile("cpu"):
        pytest.skip("no C++ compiler on this machine")
    values = {**NO_DROPOUT, "train_parameters.epochs": 1, "train_parameters.batch_size": 99}
    for name in ("plain", "compiled"):
        config = make_config(tiny_dataset, {**values, "train_parameters.compile": name == "compiled"})
        fit(config, LocalRuntime("cpu", tmp_path / name))
    assert_same_weights(tmp_path / "plain", tmp_path / "compiled", atol=1e-5)


def test_without_a_compiler_a_run_continues_uncompiled(
    make_config: Callable[..., Config], tiny_dataset: Path, tmp_path: Path
):
    """In a subprocess: torch looks for its compiler once per process."""
    (tmp_path / "config.yml").write_text(to_yaml(make_config(tiny_dataset, {"train_parameters.compile": True})))
    script = ROOT / "experiments" / "train.py"
    environment = {"PATH": "/nowhere", "CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")}
    command = [sys.executable, str(script), "--config", str(tmp_path / "config.yml"), "--threads", "1"]
    done = subprocess.run(
        [*command, "--set", f"general_parameters.path_to_save={tmp_path / 'run'}"],
        env={**os.environ, "PYTHONPATH": str(script.parents[1]), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (
        len([line for line in done.stdout.splitlines() if line.startswith("compile: not available on this machine")])
        == 1
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
