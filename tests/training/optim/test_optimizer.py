"""The learning rate, value by value, what decays, and which optimizers there are."""

from typing import get_args

import pytest
import torch
from torch import nn

from hearai.config.schema import TrainParameters
from hearai.training.optim.lr_schedule import LR_SCHEDULES, lr_factor
from hearai.training.optim.optimizer import OPTIMIZERS, build_optimizer, set_lr


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


def torch_one_cycle(total, pct_start):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    how = {"max_lr": 1.0, "total_steps": total, "pct_start": pct_start}
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, **how, cycle_momentum=False, anneal_strategy="cos")
    values = [optimizer.param_groups[0]["lr"]]
    for _ in range(total - 1):
        optimizer.step()
        schedule.step()
        values.append(optimizer.param_groups[0]["lr"])
    return values


@pytest.mark.parametrize("total", [1, 2, 7, 20, 333])
@pytest.mark.parametrize("warmup", [0, 0.03, 0.1, 0.3, 0.999, 4, 20, 1000])
def test_one_cycle_has_the_values_of_torch(total, warmup):
    pct_start = float(warmup if warmup < 1 else min(1, warmup / total))
    if pct_start * total == 1:
        pytest.skip("torch divides by zero")
    ours = factors(total, schedule="one_cycle", total_steps=total, warmup_steps=warmup)
    assert ours == pytest.approx(torch_one_cycle(total, pct_start), rel=1e-9, abs=1e-15)


def test_one_cycle_rises_to_the_peak_and_falls_to_almost_nothing():
    values = factors(20, schedule="one_cycle", warmup_steps=5)
    assert values[0] == pytest.approx(1 / 25) and values[4] == 1 and values[-1] == pytest.approx(1 / 25 / 1e4)
    assert values[:5] == sorted(values[:5]) and values[4:] == sorted(values[4:], reverse=True)


def test_one_cycle_with_a_warm_up_of_one_step_starts_at_the_peak():
    assert factors(2, schedule="one_cycle", warmup_steps=1)[0] == 1


def test_one_cycle_without_warm_up_falls_from_the_first_step_on():
    values = factors(20, schedule="one_cycle", warmup_steps=0)
    assert 0.99 < values[0] < 1 and values == sorted(values, reverse=True)


@pytest.mark.parametrize(("table", "option"), [(OPTIMIZERS, "optimizer"), (LR_SCHEDULES, "lr_schedule")])
def test_every_name_of_the_config_is_in_its_table(table, option):
    assert set(table) == set(get_args(TrainParameters.model_fields[option].annotation))


def test_biases_and_norms_do_not_decay():
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    decayed, rest = build_optimizer(model, lr=0.01, weight_decay=0.3).param_groups
    assert decayed["weight_decay"] == 0.3 and [tuple(p.shape) for p in decayed["params"]] == [(3, 2)]
    assert rest["weight_decay"] == 0 and len(rest["params"]) == 3


def test_the_learning_rate_reaches_all_groups():
    optimizer = build_optimizer(nn.Linear(2, 3), lr=1e-3, weight_decay=0.0)
    set_lr(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]


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
