"""A run that diverges ends at that step, names it, and keeps its weights finite."""

import functools
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from hearai.config.config import Config, load_config, to_yaml
from hearai.data.annotations.load import load_data
from hearai.errors import Preempted
from hearai.models.model import build_initial_model
from hearai.training.batches import Batches
from hearai.training.features.feature_cache import ensure_features
from hearai.training.features.feature_rows import replacing_rows
from hearai.training.fit import fit
from hearai.training.optim.divergence import StepGuard
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime
from tests.helpers.gloo import GlooRuntime, gloo_group
from tests.helpers.runtimes import RecordingRuntime

pytestmark = pytest.mark.training

MakeConfig = Callable[..., Config]
SMALL_BATCHES = {"train_parameters.batch_size": 2, "transformer.dropout_rate": 0.3}


@pytest.fixture(params=["immediate", "deferred"])
def check(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How steps are checked: as on a CPU, or as on a GPU."""
    if request.param == "deferred":
        monkeypatch.setattr("hearai.training.trainer.StepGuard", functools.partial(StepGuard, deferred=True))
    return request.param


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "last")["model"]


def assert_finite(folder: Path) -> None:
    weights = last_weights(folder)
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())


def write_nan(rows: Path, parts: list[slice]) -> None:
    """Makes some rows of a feature file NaN, with the checksum of a file that was computed so."""
    rows_FW = np.load(rows)
    for part in parts:
        rows_FW[part] = math.nan
    with replacing_rows(rows, rows_FW.shape) as written_FW:
        written_FW[:] = rows_FW


def plant_nan(config: Config, cache: Path, folder: Path, epoch: int, step: int) -> None:
    """Makes the features of the first clip of a step of an epoch (both 0-based) NaN, in the cache."""
    ensure_features(config)
    data = load_data(config)
    batches = Batches(config, data, build_initial_model(config, data.num_class), LocalRuntime("cpu", folder))
    clips = [clip.key for clip in sorted([*data.split.train, *data.split.val], key=lambda clip: clip.key)]
    (rows,) = cache.glob("features-*/rows.npy")
    batch = list(batches.train(epoch))[step]
    key = data.split.train[int(batch.index[0])].key
    lengths = {clip.key: clip.end - clip.start + 1 for clip in (*data.split.train, *data.split.val)}
    first = sum(lengths[other] for other in clips[: clips.index(key)])
    write_nan(rows, [slice(first, first + lengths[key])])


class PreemptedRuntime(LocalRuntime):
    """Preempted after a step (0-based) of each epoch."""

    def __init__(self, folder: Path, step: int):
        super().__init__("cpu", folder, resume=True)
        self._step = step

    def is_preempted(self, step: int) -> bool:
        return step == self._step


def fit_first_epoch(make_config: MakeConfig, dataset: Path, folder: Path) -> Config:
    """Trains the first of four epochs in `folder`; the config of all four."""
    config = make_config(dataset, {**SMALL_BATCHES, "train_parameters.epochs": 4})
    fit(
        make_config(dataset, {**SMALL_BATCHES, "train_parameters.epochs": 4, "train_parameters.stop_after_epoch": 1}),
        LocalRuntime("cpu", folder),
    )
    return config


def test_a_nan_in_the_input_ends_the_run_at_its_step(
    make_config: MakeConfig,
    tiny_dataset: Path,
    tmp_path: Path,
    isolated_cache: Path,
    check: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is planted in the second step of the second epoch; the weights are those after the first step."""
    config = fit_first_epoch(make_config, tiny_dataset, tmp_path / "expected")
    with pytest.raises(Preempted):
        fit(config, PreemptedRuntime(tmp_path / "expected", 0))
    fit_first_epoch(make_config, tiny_dataset, tmp_path / "run")
    plant_nan(config, isolated_cache, tmp_path, 1, 1)
    runtime = RecordingRuntime(tmp_path / "run", resume=True)
    with caplog.at_level(logging.WARNING):
        result = fit(config, runtime)
    steps = steps_per_epoch(config)
    assert runtime.divergence.startswith(
        f"diverged in epoch 2, step 2 of {steps} (optimizer step {steps + 2}): loss nan, gradient norm nan; lr "
    )
    assert "optimizer adamw" in runtime.divergence and "batch_size 2" in runtime.divergence
    assert caplog.messages.count(runtime.divergence) == 1
    assert result.diverged and result.epochs == 2 and result.best_epoch == 1
    assert [report["epoch"] for report in runtime.reports] == [1, 2], "the first one again, on resuming"
    assert runtime.reports[-1]["diverged"] == 1.0 and runtime.reports[-1]["objective"] == result.best
    expected, found = last_weights(tmp_path / "expected"), last_weights(tmp_path / "run")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def steps_per_epoch(config: Config) -> int:
    return -(-len(load_data(config).split.train) // config.train_parameters.batch_size)


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "sgd", "lr": 10.0},
        {"optimizer": "adamw", "weight_decay": 1e38},
        {"optimizer": "radam", "weight_decay": 1e38, "gradient_clip": 1.0},
    ],
    ids=lambda values: values["optimizer"],
)
def test_too_large_a_step_diverges_with_finite_weights(
    make_config: MakeConfig, make_dataset: Callable[..., Path], tmp_path: Path, check: str, values: dict
) -> None:
    changes = {f"train_parameters.{key}": value for key, value in {**values, "warmup_steps": 0, "epochs": 3}.items()}
    config = make_config(make_dataset(clips=24), {**SMALL_BATCHES, **changes})
    runtime = RecordingRuntime(tmp_path)
    result = fit(config, runtime)
    assert result.diverged and result.epochs == len(runtime.reports) < 3
    assert "diverged in epoch 1, step" in runtime.divergence and "gradient norm nan" in runtime.divergence
    assert f"optimizer {values['optimizer']}" in runtime.divergence and "lr " in runtime.divergence
    assert all(math.isfinite(value) for value in runtime.reports[-1].values())
    assert_finite(tmp_path)


def test_a_finished_diverged_run_repeats_its_reason(
    make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_dataset, {"train_parameters.weight_decay": 1e38})
    first = RecordingRuntime(tmp_path)
    fit(config, first)
    again = RecordingRuntime(tmp_path, resume=True)
    assert fit(config, again).diverged
    assert again.divergence == first.divergence and again.reports == first.reports[-1:]


def test_a_checkpoint_without_a_reason_is_resumed(make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path) -> None:
    """Checkpoints of older versions have no `divergence`."""
    config = fit_first_epoch(make_config, tiny_dataset, tmp_path)
    state = load_checkpoint(tmp_path / "last")
    del state["progress"]["divergence"]
    torch.save(state, tmp_path / "last" / "state.pt")
    assert fit(config, LocalRuntime("cpu", tmp_path, resume=True)).epochs == 4


def test_a_nan_in_the_weights_ends_with_a_finite_report(
    make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_dataset, {"train_parameters.epochs": 5})
    runtime = RecordingRuntime(tmp_path)
    runtime.wrap = lambda model: (model.heads["gloss"][-1].weight.data.fill_(math.nan), model)[1]  # type: ignore[method-assign]
    result = fit(config, runtime)
    assert result.diverged and result.best == 0.0 and result.best_epoch == 0 and result.metrics == {}
    assert len(runtime.reports) == 1 and runtime.reports[0]["diverged"] == 1.0
    assert all(math.isfinite(value) for value in runtime.reports[0].values())
    assert not (tmp_path / "best").exists()


def test_a_run_that_diverges_late_keeps_its_best(make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path) -> None:
    class BreakingRuntime(RecordingRuntime):
        def wrap(self, model):
            self.model = model
            return model

        def report(self, metrics, checkpoint):
            super().report(metrics, checkpoint)
            if metrics["epoch"] == 2:
                self.model.heads["gloss"][-1].weight.data.fill_(math.inf)

    runtime = BreakingRuntime(tmp_path)
    result = fit(make_config(tiny_dataset, {"train_parameters.epochs": 5}), runtime)
    assert [metrics["diverged"] for metrics in runtime.reports] == [0.0, 0.0, 1.0]
    scores = [metrics["val/macro_f1"] for metrics in runtime.reports[:2]]
    assert result.best == max(scores) == runtime.reports[-1]["objective"]
    assert all(tensor.isfinite().all() for tensor in load_checkpoint(tmp_path / "best")["model"].values())


def test_a_validation_loss_that_is_not_finite_is_named(
    make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path, isolated_cache: Path
) -> None:
    config = make_config(tiny_dataset, SMALL_BATCHES)
    ensure_features(config)
    (rows,) = isolated_cache.glob("features-*/rows.npy")
    data = load_data(config)
    val = {clip.key for clip in data.split.val}
    parts, first = [], 0
    for clip in sorted([*data.split.train, *data.split.val], key=lambda clip: clip.key):
        length = clip.end - clip.start + 1
        if clip.key in val:
            parts.append(slice(first, first + length))
        first += length
    write_nan(rows, parts)
    runtime = RecordingRuntime(tmp_path)
    assert fit(config, runtime).diverged
    steps = steps_per_epoch(config)
    expected = f"diverged after the last step of epoch 1 (optimizer step {steps}): validation loss nan; lr "
    assert runtime.divergence.startswith(expected)
    assert_finite(tmp_path)


def work(rank: int, folder: Path, deferred: bool) -> None:
    """One of two workers."""
    if deferred:
        import hearai.training.trainer

        hearai.training.trainer.StepGuard = functools.partial(StepGuard, deferred=True)  # type: ignore[misc]
    with gloo_group(folder / "rendezvous", rank):
        runtime = GlooRuntime(folder / "two", rank, 2)
        result = fit(load_config(folder / "config.yaml"), runtime)
    (folder / f"{rank}.json").write_text(json.dumps([runtime.divergence, result.epochs, runtime.reports]))


@pytest.mark.parametrize("deferred", [False, True], ids=["immediate", "deferred"])
def test_two_workers_agree_on_the_step(
    make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path, isolated_cache: Path, deferred: bool
) -> None:
    """The NaN is in the share of one of them."""
    config = make_config(tiny_dataset, {**SMALL_BATCHES, "train_parameters.epochs": 3})
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    plant_nan(config, isolated_cache, tmp_path, 0, 1)
    mp.spawn(work, (tmp_path, deferred), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    reason, epochs, reports = first
    assert reason.startswith(f"diverged in epoch 1, step 2 of {steps_per_epoch(config)} (optimizer step 2): loss nan")
    assert epochs == 1 and reports[-1]["diverged"] == 1.0
    assert_finite(tmp_path / "two")
