"""The operations that are counted: those of convolutions with groups as well."""

import pytest
import torch
from torch import nn

from hearai.benchmarks.speed.machine import matmul_peak, operations_of

X = torch.randn(2, 8, 5, 5, requires_grad=True)


def test_a_matrix_product_has_two_operations_per_multiplication() -> None:
    assert operations_of(lambda: torch.ones(3, 4) @ torch.ones(4, 5)) == 2 * 3 * 4 * 5


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 16, 3, stride=2, groups=2),
        nn.ConvTranspose2d(8, 8, 3, groups=4),
    ],
    ids=["dense", "depthwise", "grouped", "transposed"],
)
def test_a_backward_pass_costs_two_forward_passes(layer: nn.Module) -> None:
    forward = operations_of(lambda: layer(X))
    assert forward > 0
    assert operations_of(lambda: layer(X).sum().backward()) == 3 * forward
    frozen = operations_of(lambda: layer(X.detach()).sum().backward())
    assert frozen == 2 * forward, "the first layer's input has no gradient"


def test_the_peak_is_a_speed() -> None:
    assert matmul_peak(side=32) > 1e6
