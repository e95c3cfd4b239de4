"""The learning rate, value by value."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import nn

from hearai.config.config import Config
from hearai.config.schema import TrainParameters
from hearai.training.optim.lr_schedule import LR_SCHEDULES, LRSchedule


def factors(count: int, **values: Any) -> list[float]:
    """The first `count` rates of a schedule with a peak of 1."""
    defaults = {"name": "multiply", "peak": 1.0, "steps_per_epoch": 3, "total_steps": 20, "warmup_steps": 4}
    schedule = LRSchedule(**{**defaults, "multiply_lr_step": 0.5, **values})
    return [schedule(step) for step in range(count)]


def test_linear_warm_up_then_one_factor_per_epoch() -> None:
    assert factors(11) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_a_warm_up_below_one_is_a_fraction_of_all_steps() -> None:
    assert factors(6, warmup_steps=0.1) == [0.5, 1, 1, 1, 1, 0.5]


def test_no_warm_up_starts_at_the_peak() -> None:
    assert factors(4, warmup_steps=0) == [1, 1, 1, 0.5]


def test_factor_one_keeps_the_peak() -> None:
    assert factors(20, multiply_lr_step=1.0)[4:] == [1] * 16


def torch_one_cycle(total: int, pct_start: float) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    options: dict[str, Any] = {"max_lr": 1.0, "total_steps": total, "pct_start": pct_start}
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, **options, cycle_momentum=False, anneal_strategy="cos")
    values = [optimizer.param_groups[0]["lr"]]
    for _ in range(total - 1):
        optimizer.step()
        schedule.step()
        values.append(optimizer.param_groups[0]["lr"])
    return values


@pytest.mark.parametrize("total", [1, 2, 7, 20, 333])
@pytest.mark.parametrize("warmup", [0, 0.03, 0.1, 0.3, 0.999, 4, 20, 1000])
def test_one_cycle_has_the_values_of_torch(total: int, warmup: float) -> None:
    pct_start = float(warmup if warmup < 1 else min(1, warmup / total))
    if pct_start * total == 1:
        pytest.skip("torch divides by zero")
    found = factors(total, name="one_cycle", total_steps=total, warmup_steps=warmup)
    assert found == pytest.approx(torch_one_cycle(total, pct_start), rel=1e-9, abs=1e-15)


def test_one_cycle_rises_to_the_peak_and_falls_to_almost_zero() -> None:
    values = factors(20, name="one_cycle", warmup_steps=5)
    assert values[0] == pytest.approx(1 / 25) and values[4] == 1 and values[-1] == pytest.approx(1 / 25 / 1e4)
    assert values[:5] == sorted(values[:5]) and values[4:] == sorted(values[4:], reverse=True)


def test_one_cycle_with_a_one_step_warm_up_starts_at_the_peak() -> None:
    assert factors(2, name="one_cycle", warmup_steps=1)[0] == 1


def test_one_cycle_without_warm_up_falls_from_the_first_step() -> None:
    values = factors(20, name="one_cycle", warmup_steps=0)
    assert 0.99 < values[0] < 1 and values == sorted(values, reverse=True)


@pytest.mark.parametrize("name", LR_SCHEDULES)
def test_a_schedule_is_built_from_the_config(make_config: Callable[..., Config], name: str) -> None:
    values = {"lr_schedule": name, "lr": 0.003, "warmup_steps": 0.2, "multiply_lr_step": 0.9}
    train = make_config(None, {f"train_parameters.{key}": value for key, value in values.items()}).train_parameters
    schedule = LRSchedule.build(train, steps_per_epoch=4, epochs=5)
    shape = {"steps_per_epoch": 4, "total_steps": 20, "warmup_steps": 0.2, "multiply_lr_step": 0.9}
    assert [schedule(step) for step in range(20)] == [0.003 * factor for factor in factors(20, name=name, **shape)]


def test_every_name_of_the_config_has_a_schedule() -> None:
    assert set(LR_SCHEDULES) == set(get_args(TrainParameters.model_fields["lr_schedule"].annotation))
