"""The step guard: no step is applied from the first one that is not finite, immediately or deferred."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hearai.config.config import Config
from hearai.training.optim.divergence import StepGuard, backward, describe_settings, gradient_norm
from hearai.training.optim.optimizer import OPTIMIZERS, build_optimizer

CPU = torch.device("cpu")


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def weights_of(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def take_step(guard: StepGuard, model: nn.Module, number: int, factor: float = 1.0) -> None:
    """A step on random inputs; `factor` makes its loss infinite or NaN."""
    for parameter in model.parameters():
        parameter.grad = None
    loss = model(torch.randn(5, 3)).square().mean() * factor
    backward(loss)
    guard.step(number, loss.detach(), gradient_norm(list(model.parameters()), None))


@pytest.mark.parametrize("deferred", [False, True], ids=["immediate", "deferred"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_step_is_applied_after_the_first_bad_one(model: nn.Module, name: str, deferred: bool) -> None:
    guard = StepGuard(build_optimizer(model, name=name, lr=0.1, weight_decay=0.1), CPU, deferred=deferred)
    start = weights_of(model)
    take_step(guard, model, 0)
    before = weights_of(model)
    assert not any(torch.equal(one, other) for one, other in zip(start, before, strict=True))
    take_step(guard, model, 1, math.nan)
    assert guard.stopped is not deferred, "a deferred check does not wait for the device"
    if deferred:
        take_step(guard, model, 2)
    assert all(torch.equal(one, other) for one, other in zip(before, weights_of(model), strict=True))
    found = guard.divergence()
    assert found is not None and found.step == 1
    assert math.isnan(found.loss) and math.isnan(found.gradient_norm)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_deferred_check_changes_no_number(model: nn.Module, name: str) -> None:
    ends = []
    start = weights_of(model)
    for deferred in (False, True):
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), start, strict=True):
                parameter.copy_(value)
        guard = StepGuard(build_optimizer(model, name=name, lr=0.1, weight_decay=0.1), CPU, deferred=deferred)
        torch.manual_seed(1)
        for number in range(4):
            take_step(guard, model, number)
        assert guard.divergence() is None
        ends.append(weights_of(model))
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_a_reset_guard_steps_again(model: nn.Module) -> None:
    guard = StepGuard(build_optimizer(model, lr=0.1, weight_decay=0.0), CPU)
    take_step(guard, model, 0, math.inf)
    found = guard.divergence()
    assert found is not None and (found.step, found.loss) == (0, math.inf) and math.isnan(found.gradient_norm)
    guard.reset()
    assert guard.divergence() is None and not guard.stopped


def test_an_infinite_loss_makes_all_gradients_nan() -> None:
    """The gradient of this loss is finite; other workers would not notice."""
    weight = nn.Parameter(torch.tensor([3e38, -3e38]))
    loss = torch.nn.functional.cross_entropy(weight.unsqueeze(0), torch.tensor([1]))
    (plain,) = torch.autograd.grad(loss, weight, retain_graph=True)
    assert loss.isinf() and plain.isfinite().all()
    backward(loss)
    assert weight.grad is not None and weight.grad.isnan().all()


def test_a_finite_loss_has_its_plain_gradient(model: nn.Module) -> None:
    loss = model(torch.randn(5, 3)).square().mean()
    plain = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    backward(loss)
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), plain, strict=True) if p.grad is not None)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_the_norm_is_that_before_clipping(model: nn.Module, clip: float | None) -> None:
    backward(model(torch.randn(5, 3)).square().sum() * 100)
    gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert gradient_norm(list(model.parameters()), clip) == pytest.approx(gradients.norm().item(), rel=1e-6)
    clipped = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert clipped.norm().item() == pytest.approx(clip or gradients.norm().item(), rel=1e-4)


def test_frozen_parameters_are_left_out_of_the_norm(model: nn.Module) -> None:
    model[0].requires_grad_(False)
    backward(model(torch.randn(5, 3)).square().sum())
    assert gradient_norm(list(model.parameters()), None) > 0


def test_settings_are_named_with_their_values(make_config: Callable[..., Config]) -> None:
    values = {"lr": 0.5, "optimizer": "sgd", "weight_decay": 0.25, "gradient_clip": 2.0, "lr_schedule": "one_cycle"}
    train = make_config(None, {f"train_parameters.{key}": value for key, value in values.items()}).train_parameters
    assert describe_settings(train, 0.125, "bf16") == (
        "lr 0.125 (peak 0.5, one_cycle), optimizer sgd, weight_decay 0.25, batch_size 4, gradient_clip 2, "
        "loss cross_entropy, precision bf16"
    )
