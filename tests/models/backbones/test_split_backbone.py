"""A backbone that is split after its frozen beginning computes, and learns, what the whole one does."""

from collections.abc import Callable

import pytest
import timm
import torch

from hearai.models.backbones.batch_norm import accept_single_values
from hearai.models.backbones.split_backbone import split_backbone

pytestmark = pytest.mark.heavy

SIZE = (32, 32)
FIRST = {
    "test_efficientnet": ["conv_stem", "bn1", "blocks.0", "blocks.1"],
    "test_resnet": ["conv1", "bn1", "layer1"],
    "test_convnext": ["stem", "stages.0"],
}


def named(*parts: str) -> Callable[[str], bool]:
    """Whether a name is that of a part, or lies in one."""
    return lambda name: any(f"{name}.".startswith(f"{part}.") for part in parts)


def build(name: str, parts: list[str]) -> torch.nn.Module:
    """The network in training mode, with random statistics, its first parts frozen."""
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=0)
    accept_single_values(net)
    net.train()
    net(torch.randn(4, 3, *SIZE))
    for part in parts:
        net.get_submodule(part).requires_grad_(False).eval()
    return net


@pytest.mark.parametrize("is_training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("name", FIRST)
def test_a_split_backbone_equals_the_whole_one(name: str, is_training: bool) -> None:
    nets = [build(name, FIRST[name]) for _ in range(2)]
    split = split_backbone(nets[1], named(*FIRST[name]), SIZE)
    x_NCHW = torch.randn(5, 3, *SIZE)
    for net in nets:
        net.train(is_training)
        for part in FIRST[name]:
            net.get_submodule(part).eval()
    whole = nets[0](x_NCHW)
    activations = split.prefix(x_NCHW)
    assert activations.shape == (5, split.width) and not activations.requires_grad
    features = split.features(activations)
    torch.testing.assert_close(features, whole, atol=1e-5, rtol=1e-4)
    whole.square().sum().backward()
    features.square().sum().backward()
    for (weight, expected), (_, found) in zip(nets[0].named_parameters(), nets[1].named_parameters(), strict=True):
        assert (found.grad is None) == (expected.grad is None) == named(*FIRST[name])(weight), weight
        if expected.grad is not None:
            torch.testing.assert_close(found.grad, expected.grad, atol=1e-3, rtol=1e-2)


def test_where_it_is_split_changes_the_names_of_weights() -> None:
    """A cache is keyed by them: the last module here has no weights."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Dropout(), torch.nn.Conv2d(4, 4, 3))
    splits = [split_backbone(net, named(*parts), SIZE) for parts in (["0"], ["0", "1"])]
    assert len({name for split in splits for name in split.prefix.state_dict()}) == 4


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("test_efficientnet", []),
        ("test_efficientnet", ["blocks.0", "blocks.1"]),
        ("test_vit", ["patch_embed", "blocks.0"]),
    ],
    ids=["nothing is frozen", "the first layer is not", "its positions are not"],
)
def test_a_backbone_without_a_frozen_beginning(name: str, parts: list[str]) -> None:
    net = timm.create_model(name, num_classes=0)
    assert split_backbone(net, named(*parts), (160, 160)) is None and net.training


def test_a_network_whose_graph_depends_on_its_mode() -> None:
    class Dropping(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(torch.nn.functional.dropout(self.first(x), training=self.training))

    assert split_backbone(Dropping(), named("first"), SIZE) is None
