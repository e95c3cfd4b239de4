"""Encoders of what a frame shows. B clips, T frames, N = real frames of all clips, W backbone width, D width.

C/H/W picture, or P points with C channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import timm
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import ResNet50_Weights, resnet50
from torchvision.models.video import R2Plus1D_18_Weights

from hearai.config.schema import FeatureExtractor as Settings
from hearai.models.gcn import LandmarkGraph
from hearai.models.pretrained import (
    WeightSource,
    check_model_name,
    load_pretrained,
    load_torchvision,
    timm_weights,
    torchvision_weights,
)
from hearai.models.video_resnet import DenseR2Plus1D


class Backbone(NamedTuple):
    """A network without its classifier."""

    net: nn.Module
    width: int
    """Of its pooled output."""
    fixed_size: tuple[int, int] | None = None
    """(H, W) of the only pictures it takes; None = any."""


class FeatureExtractor(nn.Module):
    """A `backbone`, and a `projection` of its output to `representation_size`.

    Args:
        per_frame: the backbone sees single frames, and only real ones; else whole clips with their mask.
    """

    def __init__(self, backbone: Backbone, representation_size: int, *, per_frame: bool = True):
        super().__init__()
        self.backbone, self.backbone_width, self.fixed_size = backbone
        self.per_frame = per_frame
        self.projection = nn.Sequential(
            nn.Linear(self.backbone_width, representation_size), nn.LayerNorm(representation_size)
        )
        self.width = representation_size

    def backbone_features(self, x_N: torch.Tensor) -> torch.Tensor:
        """Single frames, normalised pictures (N, C, H, W) or landmarks (N, P, C) -> pooled backbone output (N, W)."""
        if self.fixed_size and tuple(x_N.shape[-2:]) != self.fixed_size:
            x_N = F.interpolate(x_N, self.fixed_size, mode="bilinear", antialias=True)
        return self.backbone(x_N)

    def forward(self, x_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, D); what is in padded frames has no influence."""
        if not self.per_frame:
            return self.projection(self.backbone(x_BT, mask_BT))
        if torch.compiler.is_exporting():  # how many frames are real is no shape that an exported graph may have
            padded = ~mask_BT.view(*mask_BT.shape, *[1] * (x_BT.ndim - 2))
            features_NW = self.backbone_features(x_BT.masked_fill(padded, 0).flatten(0, 1))
            return self.projection(features_NW.unflatten(0, mask_BT.shape).masked_fill(~mask_BT.unsqueeze(-1), 0))
        features_NW = self.backbone_features(x_BT[mask_BT])
        features_BTW = features_NW.new_zeros(*mask_BT.shape, self.backbone_width)
        features_BTW[mask_BT] = features_NW
        return self.projection(features_BTW)


@dataclass(frozen=True)
class Kind:
    """What is behind a `feature_extractor.name`."""

    build: Callable[[str, bool], Backbone]
    """(model_path, pretrained) -> backbone."""
    weights: Callable[[str], WeightSource]
    """model_path -> where its pre-trained weights are."""
    reads: str = "frames"
    """Which of the inputs: "frames" or "landmarks"."""
    per_frame: bool = True
    """Whether a frame's features depend on that frame alone, so that they can be kept."""
    has_models: bool = False
    """Whether `model_path` chooses among several."""


def _timm(model_path: str, pretrained: bool) -> Backbone:
    check_model_name(model_path)
    net = load_pretrained(model_path) if pretrained else timm.create_model(model_path, num_classes=0)
    traits = net.pretrained_cfg
    fixed_size = tuple(traits["input_size"][1:]) if traits.get("fixed_input_size") else None
    return Backbone(net, net.head_hidden_size, fixed_size)  # not num_features, which a head's hidden layer may follow


def _resnet50(_: str, pretrained: bool) -> Backbone:
    net = load_torchvision(resnet50, ResNet50_Weights.IMAGENET1K_V2) if pretrained else resnet50()
    width = net.fc.in_features
    net.fc = nn.Identity()
    return Backbone(net, width)


def _video_resnet(_: str, pretrained: bool) -> Backbone:
    return Backbone(DenseR2Plus1D(pretrained=pretrained), DenseR2Plus1D.width)


def _gcn(_: str, pretrained: bool) -> Backbone:
    assert not pretrained, "its weight source has none"
    net = LandmarkGraph()
    return Backbone(net, net.width)


_PER_FRAME_CNN = Kind(_timm, timm_weights, has_models=True)

EXTRACTORS = {
    "cnn_extractor": _PER_FRAME_CNN,
    "multi_frame_feature_extractor": _PER_FRAME_CNN,
    "resnet50_extractor": Kind(_resnet50, lambda _: torchvision_weights(ResNet50_Weights.IMAGENET1K_V2)),
    "video_resnet": Kind(
        _video_resnet, lambda _: torchvision_weights(R2Plus1D_18_Weights.KINETICS400_V1), per_frame=False
    ),
    "gcn_extractor": Kind(_gcn, lambda _: WeightSource("gcn_extractor"), reads="landmarks"),
}
"""`feature_extractor.name` -> its kind; the config allows these names."""


def kind_of(settings: Settings) -> Kind:
    """The kind that the config names."""
    return EXTRACTORS[settings.name]


def backbone_name(settings: Settings) -> str:
    """Name of the network whose weights fit: the model_path, or the extractor's name where it has one network only."""
    return settings.model_path if kind_of(settings).has_models else settings.name


def build_extractor(settings: Settings, *, pretrained: bool) -> FeatureExtractor:
    """The extractor that the config describes, its projection and, unless `pretrained`, its backbone random.

    Raises:
        ConfigError: no such model, or weights that cannot be had.
    """
    kind = kind_of(settings)
    backbone = kind.build(settings.model_path, pretrained)
    return FeatureExtractor(backbone, settings.representation_size, per_frame=kind.per_frame)


def build_landmark_extractor(representation_size: int) -> FeatureExtractor:
    """The encoder of landmarks that stands beside one of pictures."""
    return FeatureExtractor(_gcn("", False), representation_size)
