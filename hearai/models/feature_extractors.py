"""Encoders of single frames or clips. B clips, T frames, N = real frames of all clips, W backbone width, D width.

C/H/W image, or P points with C channels. The table of all extractors is in `hearai.config.model_parts`.
"""

import logging
import pkgutil
from collections.abc import Mapping
from typing import Any, NamedTuple

import timm
import torch
import torch.nn.functional as F
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn
from torchvision.models import ResNet50_Weights, resnet50
from torchvision.models.video import R2Plus1D_18_Weights

from hearai.config.model_parts import EXTRACTORS
from hearai.config.model_parts.load_part import make_part, width_of
from hearai.config.model_parts.part_names import EXTRACTOR
from hearai.config.model_schema import FeatureExtractorParameters as Settings
from hearai.errors import ConfigError, load_failure
from hearai.models.backbones.batch_norm import accept_single_values
from hearai.models.backbones.split_backbone import SplitBackbone
from hearai.models.landmarks.gcn import LandmarkGraph
from hearai.models.pretrained.local import Taken, WeightFile, load_backbone_weights, read_weights
from hearai.models.pretrained.published import (
    WeightSource,
    check_model_name,
    load_pretrained,
    load_torchvision,
    torchvision_weights,
)
from hearai.models.video.resnet import DenseR2Plus1D
from hearai.models.video.tubelets import build_tubelet_net, described_network, tubelet_mask

log = logging.getLogger(__name__)


class Backbone(NamedTuple):
    """A network without its classifier."""

    net: nn.Module
    width: int
    """Width of its pooled output."""
    fixed_size: tuple[int, int] | None = None
    """(H, W) of the only image size it accepts; None = any."""
    stride: int = 1
    """Frames of a clip for which it gives one vector."""


class FeatureExtractor(nn.Module):
    """A `backbone` and a `projection` of its output to `representation_size`.

    Args:
        per_frame: the backbone gets single frames, and only real ones; otherwise whole clips with their mask.
    """

    def __init__(self, backbone: Backbone, representation_size: int, *, per_frame: bool = True):
        super().__init__()
        self.backbone, self.backbone_width, self.fixed_size, self.stride = backbone
        accept_single_values(self.backbone)
        self.per_frame = per_frame
        self.projection = nn.Sequential(
            nn.Linear(self.backbone_width, representation_size), nn.LayerNorm(representation_size)
        )
        self.width = representation_size
        self.split: SplitBackbone | None = None
        """Set where the activations of a frozen beginning of the backbone are computed in advance."""

    def backbone_features(self, x_N: torch.Tensor) -> torch.Tensor:
        """Single frames, normalised images (N, C, H, W) or landmarks (N, P, C) -> pooled backbone output (N, W)."""
        if self.fixed_size and tuple(x_N.shape[-2:]) != self.fixed_size:
            x_N = F.interpolate(x_N, self.fixed_size, mode="bilinear", antialias=True)
        return self.backbone(x_N)

    def from_features(self, features_BTW: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, D) of outputs of the backbone, or where it is split, of activations of its first part."""
        return self.projection(features_BTW if self.split is None else self._rest(features_BTW, self.split, mask_BT))

    def _rest(self, x_BTU: torch.Tensor, split: SplitBackbone, mask_BT: torch.Tensor) -> torch.Tensor:
        """Activations of real frames -> output of the backbone (B, T, W), zeros where frames are padded."""
        features_NW = split.features(x_BTU[mask_BT])
        features_BTW = features_NW.new_zeros(*mask_BT.shape, self.backbone_width)
        features_BTW[mask_BT] = features_NW
        return features_BTW

    def vector_mask(self, mask_BT: torch.Tensor) -> torch.Tensor:
        """The mask of the vectors of a clip, from that of its frames: true where a vector has a real frame."""
        return mask_BT if self.stride == 1 else tubelet_mask(mask_BT, self.stride)

    def forward(self, x_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, D), or with a stride (B, ceil(T / stride), D); the content of padded frames has no influence."""
        if not self.per_frame:
            return self.projection(self.backbone(x_BT, mask_BT))
        if torch.compiler.is_exporting():  # an exported graph cannot have a shape that depends on the mask's values
            padded = ~mask_BT.view(*mask_BT.shape, *[1] * (x_BT.ndim - 2))
            features_NW = self.backbone_features(x_BT.masked_fill(padded, 0).flatten(0, 1))
            return self.projection(features_NW.unflatten(0, mask_BT.shape).masked_fill(~mask_BT.unsqueeze(-1), 0))
        features_NW = self.backbone_features(x_BT[mask_BT])
        features_BTW = features_NW.new_zeros(*mask_BT.shape, self.backbone_width)
        features_BTW[mask_BT] = features_NW
        return self.projection(features_BTW)


# -- backbones and weight sources, as the table names them ----------------------------------------


def timm_backbone(model_path: str, pretrained: bool) -> Backbone:
    """A timm model by name."""
    check_model_name(model_path)
    net = load_pretrained(model_path) if pretrained else timm.create_model(model_path, num_classes=0)
    cfg = net.pretrained_cfg
    fixed_size = tuple(cfg["input_size"][1:]) if cfg.get("fixed_input_size") else None
    return Backbone(net, net.head_hidden_size, fixed_size)  # not num_features, which a head's hidden layer may follow


def resnet50_backbone(_: str, pretrained: bool) -> Backbone:
    """torchvision's ResNet-50."""
    net = load_torchvision(resnet50, ResNet50_Weights.IMAGENET1K_V2) if pretrained else resnet50()
    width = net.fc.in_features
    net.fc = nn.Identity()
    return Backbone(net, width)


def resnet50_weights(_: str) -> WeightSource:
    """Its ImageNet weights."""
    return torchvision_weights(ResNet50_Weights.IMAGENET1K_V2)


def video_resnet_backbone(_: str, pretrained: bool) -> Backbone:
    """R(2+1)D with one vector per frame."""
    return Backbone(DenseR2Plus1D(pretrained=pretrained), DenseR2Plus1D.width)


def video_resnet_weights(_: str) -> WeightSource:
    """Its Kinetics weights."""
    return torchvision_weights(R2Plus1D_18_Weights.KINETICS400_V1)


def videomae_backbone(_: str, pretrained: bool, network: Mapping[str, Any]) -> Backbone:
    """VideoMAE with one vector per tubelet."""
    assert not pretrained, "its weights come from a path"
    net = build_tubelet_net("videomae", network)
    return Backbone(net, net.width, stride=net.stride)


def vjepa2_backbone(_: str, pretrained: bool, network: Mapping[str, Any]) -> Backbone:
    """V-JEPA 2 with one vector per tubelet."""
    assert not pretrained, "its weights come from a path"
    net = build_tubelet_net("vjepa2", network)
    return Backbone(net, net.width, stride=net.stride)


def gcn_backbone(_: str, pretrained: bool) -> Backbone:
    """A graph over landmarks."""
    assert not pretrained, "it has no published weights"
    net = LandmarkGraph()
    return Backbone(net, net.width)


# -- from the config -------------------------------------------------------------------------------


def backbone_name(settings: Settings) -> str:
    """Identifies the network, to tell which weights fit: the model_path, or else the extractor's name."""
    return settings.model_path if settings.spec.uses_model_path else settings.name


def weight_source(settings: Settings) -> WeightSource:
    """Where the published weights of the config's backbone are, if there are any.

    Raises:
        ConfigError: timm has no such model.
    """
    if settings.spec.weights is None:
        return WeightSource(settings.name)
    return pkgutil.resolve_name(settings.spec.weights)(settings.model_path)


def build_extractor(settings: Settings, *, pretrained: bool) -> FeatureExtractor:
    """The extractor that the config describes; its projection and, unless `pretrained`, its backbone are random.

    Raises:
        ConfigError: no such model, or weights that are not available; or no such part of the user's own.
    """
    if settings.spec.is_own:
        own = make_part(EXTRACTOR, settings.name, settings.kwargs, base=nn.Module)
        width = width_of(EXTRACTOR, settings.name, own)
        return FeatureExtractor(Backbone(own, width), settings.representation_size, per_frame=False)
    options = {name: getattr(settings, name) for name in settings.spec.options}
    backbone = pkgutil.resolve_name(settings.spec.build)(settings.model_path, pretrained, **options)
    return FeatureExtractor(backbone, settings.representation_size, per_frame=settings.spec.per_frame)


def network_of_path(settings: Settings) -> dict[str, Any]:
    """`feature_extractor.network` as config.json (or the run) at the path of the weights has it; {} for others.

    Raises:
        ConfigError: there is no such description, it is of another network, or the config states another one.
    """
    if "network" not in settings.spec.options or settings.weights_path is None:
        return {}
    where = "feature_extractor.pretrained"
    file = read_weights(settings.weights_path, where)
    _check_network(file, settings, where)
    network = described_network(settings.name, file.settings)
    if not network and not settings.network:
        raise ConfigError(
            f"{where}: {file.path}: no config.json beside it describes the network; copy it there, or give its values "
            "in feature_extractor.network"
        )
    if network and settings.network and network != settings.network:
        raise ConfigError(
            f"feature_extractor.network: {dict(settings.network)!r}, but {file.path.parent} has {network!r}; leave it "
            "out to take over the latter"
        )
    return network or dict(settings.network)


def load_local(extractor: FeatureExtractor, settings: Settings) -> Taken:
    """Loads the weights at the path `pretrained` into the backbone; no network is used.

    Raises:
        ConfigError: there are none, or they are those of another network.
    """
    assert isinstance(settings.pretrained, str)
    where = "feature_extractor.pretrained"
    file = read_weights(settings.pretrained, where)
    _check_network(file, settings, where)
    return load_backbone_weights(extractor.backbone, file, where, _classifier_names(settings))


def _check_network(file: WeightFile, settings: Settings, where: str) -> None:
    """Compares what the file says about its network with the config, before its weights are compared."""
    wanted, found = backbone_name(settings), file.network
    if found and found.partition(".")[0] != wanted.partition(".")[0]:
        remedy = f"feature_extractor.name: {found}"
        if found not in EXTRACTORS:
            also = "" if settings.spec.uses_model_path else " and feature_extractor.name: cnn_extractor"
            remedy = f"feature_extractor.model_path: {found}{also}"
        raise ConfigError(
            f"{where}: {file.path}: has weights of {found!r}, but the config asks for {wanted!r}; set {remedy}, or "
            "give other weights"
        )
    if arguments := file.settings.get("model_args"):
        _check_arguments(file, settings, arguments, where)
    described = file.settings.get("pretrained_cfg")
    known = described if isinstance(described, dict) else {}
    mean, std = known.get("mean", list(IMAGENET_DEFAULT_MEAN)), known.get("std", list(IMAGENET_DEFAULT_STD))
    if (mean, std) != (list(IMAGENET_DEFAULT_MEAN), list(IMAGENET_DEFAULT_STD)):
        log.warning(
            "%s: its images were normalised by mean %s and std %s, here they are by those of ImageNet: features may be "
            "worse while the backbone is frozen",
            file.path.parent,
            mean,
            std,
        )


def _check_arguments(file: WeightFile, settings: Settings, arguments: Any, where: str) -> None:
    """Refuses arguments of timm's config.json with which its model is not the one that its name gives."""
    try:
        with torch.device("meta"):
            plain = timm.create_model(settings.model_path, num_classes=0)
            described = timm.create_model(settings.model_path, **{**arguments, "num_classes": 0})
        if _description(plain) == _description(described):
            return
    except (TypeError, ValueError, AttributeError, RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"{where}: {file.path.with_name('config.json')}: model_args {arguments!r} are not those of "
            f"{settings.model_path} ({load_failure(error)}); copy the file again"
        ) from None
    raise ConfigError(
        f"{where}: {file.path.with_name('config.json')}: model_args {arguments!r} change the network; expected those "
        f"with which timm builds {settings.model_path}; give other weights"
    )


def _description(net: nn.Module) -> tuple[Any, ...]:
    """What two networks of the same class have in common if they compute the same with the same weights."""
    shapes = {name: tuple(x.shape) for name, x in net.state_dict().items()}
    plain = {name: x for name, x in vars(net).items() if isinstance(x, bool | int | float | str | tuple)}
    return repr(net), shapes, plain


def _classifier_names(settings: Settings) -> set[str]:
    """Names of the weights that the published network has beyond the backbone."""
    if "network" in settings.spec.options:
        return set()
    if not settings.spec.uses_model_path:
        return {"fc.weight", "fc.bias", "net.fc.weight", "net.fc.bias"}  # of torchvision
    with torch.device("meta"):
        whole, backbone = (timm.create_model(settings.model_path, **keys) for keys in ({}, {"num_classes": 0}))
    return {*whole.state_dict()} - {*backbone.state_dict()}


def build_landmark_extractor(representation_size: int) -> FeatureExtractor:
    """The encoder of landmarks that are used in addition to images."""
    return FeatureExtractor(gcn_backbone("", False), representation_size)
