"""A backbone split in two: its frozen beginning, whose output can be computed once per image, and the rest.

The split follows the network's graph (`torch.fx`), so that no network has to be known by name. N images, C/H/W image,
A/h/w activation where the network is cut.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

FIXED = (nn.Identity, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, nn.MaxPool2d, nn.AvgPool2d)
"""Modules without weights whose output depends on nothing but their input, in training as well."""


@dataclass(frozen=True)
class SplitBackbone:
    """Both parts consist of the backbone's own modules: they always have its weights and modes."""

    prefix: nn.Module
    """Images (N, C, H, W) -> flattened activations (N, A * h * w)."""
    shape: tuple[int, int, int]
    """(A, h, w)"""
    rest: nn.Module
    """Activations (N, A, h, w) -> pooled output (N, W)."""

    @property
    def width(self) -> int:
        """Numbers of an activation."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def features(self, activations_NU: Tensor) -> Tensor:
        """Flattened activations (N, A * h * w) -> pooled output (N, W)."""
        x_NAhw = activations_NU.unflatten(-1, self.shape)
        return self.rest(x_NAhw.contiguous(memory_format=torch.channels_last))


class Prefix(nn.Module):
    """The frozen beginning, in evaluation mode. Names of its weights begin with a hash of the graph: where the network
    is cut is part of what its output depends on."""

    def __init__(self, graph: fx.GraphModule):
        super().__init__()
        self._name = hashlib.blake2b(str(graph.graph).encode(), digest_size=8).hexdigest()
        self.add_module(self._name, graph)
        self.eval()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.get_submodule(self._name)(x_NCHW).flatten(1)


def split_backbone(
    net: nn.Module, is_frozen: Callable[[str], bool], image_size: tuple[int, int]
) -> SplitBackbone | None:
    """Splits a backbone after its frozen beginning; None if it has none, or more than one tensor leaves it.

    Neither if its graph depends on the images or differs between training and evaluation. It is left in training mode.

    Args:
        is_frozen: whether the module or weight of this name never changes, and is in evaluation mode.
        image_size: (H, W)
    """
    graph = _graph_of(net)
    if graph is None:
        return None
    fixed = _fixed_nodes(graph, net, is_frozen)
    leaving = _leaving(fixed)
    if len(leaving) != 1 or leaving[0].op == "placeholder":
        return None
    prefix = Prefix(_first_part(net, graph, fixed, leaving[0]))
    with torch.no_grad():
        activation = next(iter(prefix.children()))(torch.zeros(1, 3, *image_size))
    if not isinstance(activation, Tensor) or activation.ndim != 4:
        return None
    _, channels, height, width = activation.shape
    return SplitBackbone(prefix, (channels, height, width), _second_part(net, graph, fixed, leaving[0]))


class _Tracer(fx.Tracer):
    """Batch norms are not looked into: what they do depends on their mode."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, _BatchNorm) or not list(module.children())


def _graph_of(net: nn.Module) -> fx.Graph | None:
    """The graph of a network with one input that is the same in training and evaluation."""
    graphs = []
    for is_training in (False, True):
        net.train(is_training)
        try:
            graphs.append(_Tracer().trace(net))
        except (TypeError, ValueError, RuntimeError, AttributeError, fx.proxy.TraceError):  # what it does depends on x
            net.train()
            return None
    inputs = [node for node in graphs[1].nodes if node.op == "placeholder"]
    return graphs[1] if str(graphs[0]) == str(graphs[1]) and len(inputs) == 1 else None


def _fixed_nodes(graph: fx.Graph, net: nn.Module, is_frozen: Callable[[str], bool]) -> dict[fx.Node, None]:
    """The operations at the beginning whose outputs never change, in order.

    Where several tensors leave them, modules without weights that are not frozen are left to the rest: the pooling in
    one branch of the next block, for instance.
    """
    left_out: set[fx.Node] = set()
    while True:
        fixed: dict[fx.Node, None] = {}
        for node in graph.nodes:
            inputs_are_fixed = node.op != "output" and all(one in fixed for one in node.all_input_nodes)
            if node.op == "placeholder" or (
                inputs_are_fixed and node not in left_out and _is_fixed(node, net, is_frozen)
            ):
                fixed[node] = None
        leaving = _leaving(fixed)
        loose = {node for node in leaving if node.op == "call_module" and not is_frozen(str(node.target))}
        if len(leaving) < 2 or not loose:
            return fixed
        left_out |= loose


def _leaving(fixed: dict[fx.Node, None]) -> list[fx.Node]:
    """Those whose output is used by others."""
    return [node for node in fixed if any(user not in fixed for user in node.users)]


def _is_fixed(node: fx.Node, net: nn.Module, is_frozen: Callable[[str], bool]) -> bool:
    """Whether an operation gives the same output for the same input as long as the run lasts."""
    if node.op in ("call_module", "get_attr"):
        name = str(node.target)
        return is_frozen(name) or (node.op == "call_module" and type(net.get_submodule(name)) in FIXED)
    return "rand" not in str(node.target) and "dropout" not in str(node.target)


def _first_part(net: nn.Module, graph: fx.Graph, fixed: dict[fx.Node, None], cut: fx.Node) -> fx.GraphModule:
    first, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in fixed:
        copies[node] = first.node_copy(node, copies.__getitem__)
        if node is cut:
            break
    first.output(copies[cut])
    return fx.GraphModule(net, first)


def _second_part(net: nn.Module, graph: fx.Graph, fixed: dict[fx.Node, None], cut: fx.Node) -> fx.GraphModule:
    second = fx.Graph()
    copies: dict[fx.Node, Any] = {cut: second.placeholder("activation")}
    for node in graph.nodes:
        if node not in fixed:
            copies[node] = second.node_copy(node, copies.__getitem__)
    return fx.GraphModule(net, second)
