"""The layout of images changes neither values nor names, and stays when weights are loaded."""

import copy

import pytest
import torch
from torch import nn

from hearai.training.optim.torch_options import use_fast_layout


def test_the_layout_on_cpus_keeps_values_and_outputs():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    fast = copy.deepcopy(plain)
    use_fast_layout(fast, torch.device("cpu"))
    fast.load_state_dict(plain.state_dict())
    assert fast[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in fast.state_dict().items())
    images = torch.randn(2, 3, 8, 8)
    assert torch.allclose(fast(images), plain(images), atol=1e-6)


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv3d])
def test_other_convolutions_keep_their_layout(kind):
    convolution = kind(3, 4, 2)
    use_fast_layout(convolution, torch.device("cpu"))
    assert convolution.weight.is_contiguous()
