"""The learning rate, value by value, what decays, and which optimizers there are."""

from typing import get_args

import pytest
import torch
from torch import nn

from hearai.sections import TrainParameters
from hearai.training.optimizer import OPTIMIZERS, build_optimizer, lr_factor, set_lr


def factors(count, **kwargs):
    defaults = {"steps_per_epoch": 3, "total_steps": 20, "warmup_steps": 4, "multiply_lr_step": 0.5}
    return [lr_factor(step, **{**defaults, **kwargs}) for step in range(count)]


def test_warm_up_in_steps_then_a_stair_per_epoch():
    assert factors(11) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_a_warm_up_below_one_is_a_fraction_of_all_steps():
    assert factors(6, warmup_steps=0.1) == [0.5, 1, 1, 1, 1, 0.5]


def test_no_warm_up_starts_at_the_peak():
    assert factors(4, warmup_steps=0) == [1, 1, 1, 0.5]


def test_factor_one_keeps_the_peak():
    assert factors(20, multiply_lr_step=1.0)[4:] == [1] * 16


def test_biases_and_norms_do_not_decay():
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    decayed, rest = build_optimizer(model, lr=0.01, weight_decay=0.3).param_groups
    assert decayed["weight_decay"] == 0.3 and [tuple(p.shape) for p in decayed["params"]] == [(3, 2)]
    assert rest["weight_decay"] == 0 and len(rest["params"]) == 3


def test_the_learning_rate_reaches_all_groups():
    optimizer = build_optimizer(nn.Linear(2, 3), lr=1e-3, weight_decay=0.0)
    set_lr(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]


def test_every_optimizer_of_the_config_can_be_built():
    assert set(OPTIMIZERS) == set(get_args(TrainParameters.model_fields["optimizer"].annotation))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns_and_leaves_frozen_parameters_alone(name):
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
