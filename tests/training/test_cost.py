"""The costs of a model: measured once per run, reported with every epoch."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from hearai.config.config import Config
from hearai.data.annotations.load import load_data
from hearai.models.model import build_initial_model
from hearai.training.cost import MIN_PASSES, WARM_UP_PASSES, costs_of, one_clip, seconds_per_clip, size_of
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.runtime import LocalRuntime

pytestmark = pytest.mark.training

SPEED = {"general_parameters.measure_speed": True}
MakeConfig = Callable[..., Config]


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_size_includes_frozen_parameters_and_buffers() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model[0].weight.requires_grad_(False)
    parameters, buffers = 3 * 4 + 4 + 4 + 4, 4 + 4  # float32, and one int64 beside them
    assert size_of(model) == {"parameters": parameters, "size_mb": ((parameters + buffers) * 4 + 8) / 1e6}


def test_runs_report_their_size_and_on_request_their_speed(tiny_config: Config, tmp_path: Path) -> None:
    fit(tiny_config, LocalRuntime("cpu", tmp_path / "run"))
    model = build_initial_model(tiny_config, load_data(tiny_config).num_class)
    for row in rows_of(tmp_path / "run"):
        assert row["parameters"] == sum(p.numel() for p in model.parameters())
        assert row["size_mb"] == size_of(model)["size_mb"]
        assert "seconds_per_clip" not in row


def test_measuring_does_not_change_training(make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path) -> None:
    dropout = {"transformer.dropout_rate": 0.3, "freeze_scheduler.model_params": {}}
    for name, values in {"plain": dropout, "measured": {**dropout, **SPEED}}.items():
        fit(make_config(tiny_dataset, values), LocalRuntime("cpu", tmp_path / name))
    plain, measured = rows_of(tmp_path / "plain"), rows_of(tmp_path / "measured")
    timed = {"seconds", "seconds_per_clip"}
    assert [{k: v for k, v in row.items() if k not in timed} for row in measured] == [
        {k: v for k, v in row.items() if k not in timed} for row in plain
    ]


def test_speed_is_measured_once_also_for_a_resumed_run(
    make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path
) -> None:
    fit(make_config(tiny_dataset, {**SPEED, "train_parameters.epochs": 1}), LocalRuntime("cpu", tmp_path / "run"))
    first = load_checkpoint(tmp_path / "run" / "last")["progress"]["costs"]["seconds_per_clip"]
    longer = make_config(tiny_dataset, {**SPEED, "train_parameters.epochs": 3})
    fit(longer, LocalRuntime("cpu", tmp_path / "run", resume=True))
    assert [row["seconds_per_clip"] for row in rows_of(tmp_path / "run")] == [first] * 3
    assert 0 < first < 10


class RecordingModel(nn.Module):
    """Records the inputs of each forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Dropout()
        self.passes: list[tuple] = []

    def forward(self, inputs: dict, mask: torch.Tensor) -> dict:
        self.passes.append((inputs["frames"].shape, mask.shape, self.inner.training, torch.is_grad_enabled()))
        return {"gloss": mask.float()}


def test_a_timed_pass_is_one_clip_of_images_in_eval_mode(
    tiny_config: Config,
) -> None:
    batch, model = one_clip(tiny_config, load_data(tiny_config).split.val), RecordingModel()
    model.inner.eval()  # like a frozen part
    assert seconds_per_clip(model, batch, tiny_config, torch.device("cpu")) > 0
    assert set(model.passes) == {((1, 3, 3, 32, 32), (1, 3), False, False)}
    assert len(model.passes) >= WARM_UP_PASSES + MIN_PASSES
    assert model.training and not model.inner.training, "the model is unchanged"


class SlowedModel(RecordingModel):
    """Two of three passes are delayed, as by another process."""

    def forward(self, inputs: dict, mask: torch.Tensor) -> dict:
        time.sleep(0.02 if len(self.passes) % 3 else 0.0)
        return super().forward(inputs, mask)


def test_interruptions_do_not_count_as_time_of_a_pass(tiny_config: Config) -> None:
    batch = one_clip(tiny_config, load_data(tiny_config).split.val)
    assert seconds_per_clip(SlowedModel(), batch, tiny_config, torch.device("cpu")) < 0.01


def test_a_clip_is_timed_with_all_inputs_of_the_model(make_config: MakeConfig, make_dataset: Callable) -> None:
    folder = make_dataset(landmarks=True)
    config = make_config(folder, {"train_parameters.landmarks": True, **SPEED})
    data = load_data(config)
    assert one_clip(config, data.split.val).inputs.keys() == {"frames", "landmarks"}
    costs = costs_of(build_initial_model(config, data.num_class), config, data, LocalRuntime("cpu", folder))
    assert math.isfinite(costs["seconds_per_clip"]) and costs["seconds_per_clip"] > 0


def test_more_frames_take_longer(make_config: MakeConfig, tiny_dataset: Path) -> None:
    seconds = []
    for segments in (1, 40):  # so that no noise of the machine hides it
        config = make_config(tiny_dataset, {"train_parameters.num_segments": segments, **SPEED})
        data = load_data(config)
        model = build_initial_model(config, data.num_class)
        seconds.append(costs_of(model, config, data, LocalRuntime("cpu", tiny_dataset))["seconds_per_clip"])
    assert seconds[1] > seconds[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_time_of_a_gpu_pass_includes_its_work(make_config: MakeConfig, tiny_dataset: Path) -> None:
    """Queueing the work takes microseconds; the wide matrix products do not."""

    class WideModel(nn.Module):
        def forward(self, inputs: dict, mask: torch.Tensor) -> dict:
            square = torch.ones(8192, 8192, device="cuda")
            for _ in range(10):
                square = square @ square
            return {"gloss": square}

    config = make_config(tiny_dataset)
    batch = one_clip(config, load_data(config).split.val)
    assert seconds_per_clip(WideModel(), batch, config, torch.device("cuda")) > 5e-3
