"""R(2+1)D over a clip, with one vector per frame. B clips, T frames, C/H/W image, W = 512.

Source: Tran et al. 2018, "A Closer Look at Spatiotemporal Convolutions for Action Recognition"; torchvision's
`r2plus1d_18`, whose Kinetics weights fit unchanged.
"""

from collections.abc import Iterator

import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn
from torchvision.models.video import r2plus1d_18
from torchvision.models.video.resnet import BasicBlock, R2Plus1D_18_Weights

from hearai.models.pretrained.published import load_torchvision

KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
"""Mean and standard deviation of the images on which torchvision's video weights were trained."""


class DenseR2Plus1D(nn.Module):
    """torchvision's r2plus1d_18 without temporal strides.

    The published network keeps every eighth frame. Here each temporal stride is turned into a dilation of the following
    layers (as in DeepLab, but over time): every frame gets a vector, and every eighth equals the published network's.

    Padded frames are set to zero before each convolution over time, so that they act like the end of the clip.
    """

    width = 512

    def __init__(self, *, pretrained: bool):
        super().__init__()
        weights = R2Plus1D_18_Weights.KINETICS400_V1
        self.net = load_torchvision(r2plus1d_18, weights) if pretrained else r2plus1d_18()
        self.net.fc = nn.Identity()
        _dilate(self.net)
        imagenet = (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        (mean, std), (video_mean, video_std) = (map(torch.tensor, stats) for stats in (imagenet, KINETICS))
        self.register_buffer("scale_C11", (std / video_std).view(3, 1, 1), persistent=False)
        self.register_buffer("shift_C11", ((mean - video_mean) / video_std).view(3, 1, 1), persistent=False)

    def forward(self, clip_BTCHW: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, 512) from images normalised with ImageNet's statistics, as all extractors get them."""
        x_BCTHW = (clip_BTCHW * self.scale_C11 + self.shift_C11).transpose(1, 2)
        padded = ~mask_BT[:, None, :, None, None]
        x_BCTHW = _apply(self.net.stem, x_BCTHW.masked_fill(padded, 0), padded)
        for layer in (self.net.layer1, self.net.layer2, self.net.layer3, self.net.layer4):
            for block in layer:
                x_BCTHW = _apply_block(block, x_BCTHW, padded)
        return x_BCTHW.mean((-2, -1)).transpose(1, 2)


def _apply_block(block: BasicBlock, x_BCTHW: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
    residual = _apply(block.conv2, _apply(block.conv1, x_BCTHW, padded), padded)
    shortcut = x_BCTHW if block.downsample is None else block.downsample(x_BCTHW)
    return block.relu(residual + shortcut)


def _apply(layers: nn.Module, x_BCTHW: torch.Tensor, padded: torch.Tensor) -> torch.Tensor:
    for layer in _flatten(layers):
        if _is_temporal(layer):
            x_BCTHW = x_BCTHW.masked_fill(padded, 0)
        x_BCTHW = layer(x_BCTHW)
    return x_BCTHW


def _flatten(layers: nn.Module) -> Iterator[nn.Module]:
    """The layers of nested sequences in the order of their application."""
    if not isinstance(layers, nn.Sequential):
        yield layers
        return
    for layer in layers:
        yield from _flatten(layer)


def _is_temporal(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv3d) and layer.kernel_size[0] > 1


def _dilate(net: nn.Module) -> None:
    """Turns temporal strides into dilations of the convolutions that follow them."""
    dilation = 1
    for block in (block for layer in (net.layer1, net.layer2, net.layer3, net.layer4) for block in layer):
        for layer in (*_flatten(block.conv1), *_flatten(block.conv2)):
            if _is_temporal(layer):
                layer.dilation, layer.padding = (dilation, 1, 1), (dilation, 0, 0)
                dilation *= layer.stride[0]
                layer.stride = (1, 1, 1)
        if block.downsample is not None:
            block.downsample[0].stride = (1, *block.downsample[0].stride[1:])
