"""One classifier per head."""

import pytest
import torch

from hearai.errors import ConfigError
from hearai.models.heads import Heads


def test_every_head_gives_its_classes():
    logits = Heads(6, {"a": 3, "b": 5})(torch.randn(4, 6))
    assert {head: tuple(x.shape) for head, x in logits.items()} == {"a": (4, 3), "b": (4, 5)}


def test_heads_share_no_weights():
    heads = Heads(6, {"a": 3, "b": 3}, additional_layers=1)
    heads(torch.randn(4, 6))["a"].sum().backward()
    assert all(p.grad is not None for p in heads["a"].parameters())
    assert all(p.grad is None for p in heads["b"].parameters())


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_additional_layers_are_added(layers: int):
    linear = [m for m in Heads(6, {"a": 3}, additional_layers=layers).modules() if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linear] == [6] * layers + [3]


def test_dropout_is_on_in_training_only():
    heads, x_BD = Heads(64, {"a": 3}, dropout_rate=0.5), torch.randn(1, 64)
    assert not torch.equal(heads(x_BD)["a"], heads(x_BD)["a"])
    heads.eval()
    assert torch.equal(heads(x_BD)["a"], heads(x_BD)["a"])


@pytest.mark.parametrize("name", ["a.b", "values", "forward"])
def test_name_that_torch_cannot_hold_is_a_config_error(name: str):
    with pytest.raises(ConfigError, match=f"{name!r} cannot name a head"):
        Heads(6, {name: 3})


def test_an_idle_head_is_not_computed_in_training_and_answers_in_evaluation():
    heads, seen = Heads(6, {"a": 3, "b": 5}), []
    heads["b"].register_forward_hook(lambda *_: seen.append("b"))
    heads.leave_idle(["b"])
    assert list(heads(torch.randn(4, 6))) == ["a"] and not seen
    assert not any(p.requires_grad for p in heads["b"].parameters())
    heads.eval()
    assert list(heads(torch.randn(4, 6))) == ["a", "b"] and seen == ["b"]
