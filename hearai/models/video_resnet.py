"""R(2+1)D over the clip, with a vector for every frame. B clips, T frames, C/H/W picture, W = 512.

Source: Tran et al. 2018, "A Closer Look at Spatiotemporal Convolutions for Action Recognition"; torchvision's
`r2plus1d_18`, whose Kinetics weights fit as they are.
"""

from collections.abc import Iterator

import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn
from torchvision.models.video import r2plus1d_18
from torchvision.models.video.resnet import BasicBlock, R2Plus1D_18_Weights

from hearai.models.pretrained import load_torchvision

KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
"""Mean and deviation of the pictures that torchvision's video weights were trained on."""


class DenseR2Plus1D(nn.Module):
    """torchvision's r2plus1d_18 without its strides in time.

    The published network keeps every eighth frame. Here each stride in time has become a dilation of what follows
    (as in DeepLab, but over frames), so that every frame gets a vector, and every eighth is the published one.

    Padded frames are set to zero before each convolution over time: they act like the end of the clip.
    """

    width = 512

    def __init__(self, *, pretrained: bool):
        super().__init__()
        weights = R2Plus1D_18_Weights.KINETICS400_V1
        self.net = load_torchvision(r2plus1d_18, weights) if pretrained else r2plus1d_18()
        self.net.fc = nn.Identity()
        _dilate(self.net)
        imagenet = (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        (mean, std), (there_mean, there_std) = (map(torch.tensor, stats) for stats in (imagenet, KINETICS))
        self.register_buffer("scale_C11", (std / there_std).view(3, 1, 1), persistent=False)
        self.register_buffer("shift_C11", ((mean - there_mean) / there_std).view(3, 1, 1), persistent=False)

    def forward(self, clip_BTCHW: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, 512); pictures come normalised with ImageNet's statistics, as everywhere here."""
        x_BCTHW = (clip_BTCHW * self.scale_C11 + self.shift_C11).transpose(1, 2)
        padded = ~mask_BT[:, None, :, None, None]
        x_BCTHW = _convolved(self.net.stem, x_BCTHW.masked_fill(padded, 0), padded)
        for layer in (self.net.layer1, self.net.layer2, self.net.layer3, self.net.layer4):
            for block in layer:
                x_BCTHW = _through(block, x_BCTHW, padded)
        return x_BCTHW.mean((-2, -1)).transpose(1, 2)


def _through(block: BasicBlock, x_BCTHW: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
    change = _convolved(block.conv2, _convolved(block.conv1, x_BCTHW, padded), padded)
    stay = x_BCTHW if block.downsample is None else block.downsample(x_BCTHW)
    return block.relu(change + stay)


def _convolved(layers: nn.Module, x_BCTHW: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
    for layer in _flat(layers):
        if _looks_over_time(layer):
            x_BCTHW = x_BCTHW.masked_fill(padded, 0)
        x_BCTHW = layer(x_BCTHW)
    return x_BCTHW


def _flat(layers: nn.Module) -> Iterator[nn.Module]:
    """The layers in the order in which they are passed; those of nested sequences too."""
    if not isinstance(layers, nn.Sequential):
        yield layers
        return
    for layer in layers:
        yield from _flat(layer)


def _looks_over_time(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv3d) and layer.kernel_size[0] > 1


def _dilate(net: nn.Module) -> None:
    """Turns strides in time into dilations of the convolutions after them."""
    dilation = 1
    for block in (block for layer in (net.layer1, net.layer2, net.layer3, net.layer4) for block in layer):
        for layer in (*_flat(block.conv1), *_flat(block.conv2)):
            if _looks_over_time(layer):
                layer.dilation, layer.padding = (dilation, 1, 1), (dilation, 0, 0)
                dilation *= layer.stride[0]
                layer.stride = (1, 1, 1)
        if block.downsample is not None:
            block.downsample[0].stride = (1, *block.downsample[0].stride[1:])
