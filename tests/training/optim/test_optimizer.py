"""Optimizers: their names, their parameter groups, and that each of them trains."""

from typing import get_args

import pytest
import torch
from torch import nn

from hearai.config.schema import TrainParameters
from hearai.training.optim.optimizer import OPTIMIZERS, build_optimizer, set_lr


def test_every_name_of_the_config_has_an_optimizer():
    assert set(OPTIMIZERS) == set(get_args(TrainParameters.model_fields["optimizer"].annotation))


def test_biases_and_norms_have_no_weight_decay():
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    decayed, rest = build_optimizer(model, lr=0.01, weight_decay=0.3).param_groups
    assert decayed["weight_decay"] == 0.3 and [tuple(p.shape) for p in decayed["params"]] == [(3, 2)]
    assert rest["weight_decay"] == 0 and len(rest["params"]) == 3


def test_the_learning_rate_applies_to_all_groups():
    optimizer = build_optimizer(nn.Linear(2, 3), lr=1e-3, weight_decay=0.0)
    set_lr(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains_all_but_frozen_parameters(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    x = torch.randn(64, 4)
    y = x.sum(1, keepdim=True).tanh()
    optimizer = build_optimizer(model, name=name, lr=0.05, weight_decay=0.1)
    losses = []
    for _ in range(60):
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert torch.equal(model[0].weight, before)
