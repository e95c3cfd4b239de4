"""Batch norms that several workers share keep the names of their weights, and what they compute."""

from collections.abc import Callable

import pytest
import timm
import torch
from torch import nn

from hearai.models.backbones.batch_norm import has_batch_norms, synchronise_batch_norms

NETS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()),
    "timm's, which hold activations": lambda: timm.create_model("test_efficientnet", num_classes=0),
}


@pytest.mark.heavy
@pytest.mark.parametrize("name", NETS)
def test_shared_batch_norms_of_one_worker_change_nothing(name: str) -> None:
    """Without a group torch's `SyncBatchNorm` runs on a CPU. With one it needs GPUs."""
    torch.manual_seed(0)
    net, copy, images = NETS[name](), NETS[name](), torch.rand(6, 3, 32, 32)
    copy.load_state_dict(net.state_dict())
    shared = synchronise_batch_norms(copy)
    assert has_batch_norms(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in shared.modules())
    for training in (True, False):
        net.train(training)
        shared.train(training)
        assert torch.allclose(shared(images), net(images), atol=1e-6)
    before, after = net.state_dict(), shared.state_dict()
    assert list(before) == list(after)
    assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in before)


@pytest.mark.heavy
def test_layer_norms_are_not_batch_norms() -> None:
    assert not has_batch_norms(timm.create_model("test_vit", num_classes=0))
