"""Per-frame encoders. B clips, T frames, N = real frames of all clips, C/H/W picture, W backbone width, D width."""

import timm
import torch
import torch.nn.functional as F
from torch import nn

from hearai.models.pretrained import check_model_name, load_pretrained


class CNNExtractor(nn.Module):
    """Any timm model as `backbone`, and a `projection` to `representation_size`.

    Args:
        model_path: name of a timm model.
        pretrained: start from timm's weights instead of random ones.

    Raises:
        ConfigError: no such model, or its weights cannot be had.
    """

    def __init__(self, model_path: str, representation_size: int, *, pretrained: bool):
        super().__init__()
        check_model_name(model_path)
        if pretrained:
            self.backbone = load_pretrained(model_path)
        else:
            self.backbone = timm.create_model(model_path, pretrained=False, num_classes=0)
        self.backbone_width = self.backbone.head_hidden_size
        self.projection = nn.Sequential(
            nn.Linear(self.backbone_width, representation_size), nn.LayerNorm(representation_size)
        )
        self.width = representation_size
        traits = self.backbone.pretrained_cfg
        self.fixed_size = tuple(traits["input_size"][1:]) if traits.get("fixed_input_size") else None

    def backbone_features(self, frames_NCHW: torch.Tensor) -> torch.Tensor:
        """Normalised pictures -> pooled backbone output (N, W)."""
        if self.fixed_size and tuple(frames_NCHW.shape[-2:]) != self.fixed_size:
            frames_NCHW = F.interpolate(frames_NCHW, self.fixed_size, mode="bilinear", antialias=True)
        return self.backbone(frames_NCHW)

    def forward(self, clip_BTCHW: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """Normalised pictures -> (B, T, D). Only real frames run through the backbone."""
        features_NW = self.backbone_features(clip_BTCHW[mask_BT])
        features_BTW = features_NW.new_zeros(*mask_BT.shape, self.backbone_width)
        features_BTW[mask_BT] = features_NW
        return self.projection(features_BTW)


EXTRACTORS = {"cnn_extractor": CNNExtractor, "multi_frame_feature_extractor": CNNExtractor}
"""`feature_extractor.name` -> per-frame encoder."""
