"""A GPU computes what the CPU does, within the noise of floating point numbers (`make test-gpu`)."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from hearai.config.config import Config, load_config, to_yaml
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import load_data
from hearai.models.model import build_initial_model
from hearai.training.batches import Batches, on_device
from hearai.training.features.feature_cache import load_features
from hearai.training.optim.divergence import StepGuard
from hearai.training.runtime import LocalRuntime
from hearai.training.setup.pretrain import pretrain
from hearai.training.trainer import Trainer
from tests.helpers.gloo import GlooRuntime, gloo_group

pytestmark = [
    pytest.mark.training,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU: nothing to compare the CPU with"),
]
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
CLOSE = {"rtol": 1e-3, "atol": 1e-4}
PRETRAIN = Pretrain(epochs=1, batch_size=8, lr=1e-4)
MakeConfig = Callable[..., Config]
STILL = {"train_parameters.precision": "fp32", "transformer.dropout_rate": 0.0, "heads.model.dropout_rate": 0.0}
"""Dropout draws other numbers on each device, and bf16 is coarser than float noise."""
FROZEN = {"freeze_scheduler.model_params": {"feature_extractor.backbone": [True]}}


@pytest.fixture(autouse=True)
def exact_products() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def trainer_on(device: torch.device, config: Config, folder: Path) -> Trainer:
    runtime, data = LocalRuntime(device, folder), load_data(config)
    model = build_initial_model(config, data.num_class).to(device)
    return Trainer(config, data, model, runtime, Batches(config, data, model, runtime))


def test_logits_are_equal(make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path) -> None:
    config = make_config(tiny_dataset, {**STILL, "freeze_scheduler.model_params": {}})
    logits = {}
    for device in (CPU, GPU):
        trainer = trainer_on(device, config, tmp_path / device.type)
        batch = on_device(next(iter(trainer.batches.val(0))), device)
        with torch.no_grad():
            logits[device] = trainer.model.eval()(batch.inputs, batch.mask)["gloss"].cpu()
    torch.testing.assert_close(logits[GPU], logits[CPU], **CLOSE)


@pytest.mark.parametrize("freeze", [FROZEN, {"freeze_scheduler.model_params": {}}], ids=["frozen", "trained"])
def test_an_epoch_leaves_equal_losses_and_weights(
    freeze: dict, make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path
) -> None:
    config = make_config(tiny_dataset, {**STILL, **freeze, "train_parameters.optimizer": "sgd"})
    losses, weights = {}, {}
    for device in (CPU, GPU):
        trainer = trainer_on(device, config, tmp_path / device.type)
        losses[device], weights[device] = trainer.train_epoch(0), trainer.weights()
    assert losses[GPU] == pytest.approx(losses[CPU], rel=1e-3)
    for name, tensor in weights[CPU].items():
        torch.testing.assert_close(weights[GPU][name], tensor, rtol=1e-2, atol=1e-3, msg=name)


def test_features_are_equal(
    make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny_dataset, {**STILL, **FROZEN})
    data, rows = load_data(config), {}
    for device in (CPU, GPU):
        monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / device.type))  # or the second would read those of the first
        extractor = build_initial_model(config, data.num_class).feature_extractor.to(device)
        rows[device] = load_features(config, data, extractor, device)[0].rows_FW.float()
    torch.testing.assert_close(rows[GPU], rows[CPU], **CLOSE)


def test_a_bad_step_on_a_gpu_changes_no_weight() -> None:
    weight = torch.nn.Parameter(torch.ones(3, device=GPU))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    guard = StepGuard(optimizer, GPU)
    for number, gradient in enumerate((1.0, float("nan"), 1.0)):
        weight.grad = torch.full_like(weight, gradient)
        guard.step(number, weight.grad.sum(), weight.grad.norm())
    assert weight.tolist() == [0.0, 0.0, 0.0]
    found = guard.divergence()
    assert found is not None and found.step == 1


class TwoGpus(GlooRuntime):
    """The runtime of one of two workers, each on its own GPU."""

    def __init__(self, folder: Path, rank: int):
        super().__init__(folder / f"node{rank}", rank, 2)
        self.device = torch.device("cuda", rank)

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        return DistributedDataParallel(model, device_ids=[self.device])

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return super().sum(values.to(self.device)).to(values.device)


def pretrain_on_gpu(rank: int, folder: Path) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.cuda.set_device(rank)
    with gloo_group(folder / "rendezvous", rank, backend="nccl"):
        pretrain(load_config(folder / "config.yaml"), TwoGpus(folder, rank), folder / "two.pt", PRETRAIN)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs: batch norms over workers need one each")
def test_two_gpus_pretrain_batch_norms_as_one_does(make_config: MakeConfig, tiny_dataset: Path, tmp_path: Path) -> None:
    config = make_config(tiny_dataset, STILL)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    pretrain(config, LocalRuntime(GPU, tmp_path), tmp_path / "one.pt", PRETRAIN)
    mp.spawn(pretrain_on_gpu, (tmp_path,), nprocs=2)
    one, two = (torch.load(tmp_path / name, weights_only=True)["backbone"] for name in ("one.pt", "two.pt"))
    assert list(one) == list(two)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-2, atol=1e-3, msg=name)
