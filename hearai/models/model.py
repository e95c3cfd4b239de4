"""The whole model: pictures -> logits. B clips, T frames, C/H/W picture, W backbone width, K classes."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from hearai.config import Config
from hearai.errors import ConfigError, pick
from hearai.models.feature_extractors import EXTRACTORS
from hearai.models.heads import Heads
from hearai.models.transformers import TRANSFORMERS


class SignModel(nn.Module):
    """Per-frame encoder, sequence encoder, one classifier a head."""

    def __init__(self, feature_extractor: nn.Module, transformer: nn.Module, heads: Heads):
        super().__init__()
        self.feature_extractor, self.transformer, self.heads = feature_extractor, transformer, heads

    def forward(self, inputs: torch.Tensor, mask_BT: torch.Tensor) -> dict[str, torch.Tensor]:
        """{head: logits (B, K)}.

        Both kinds of input pass here, so that a wrapper for several workers sees every step.

        Args:
            inputs: normalised pictures (B, T, C, H, W), or backbone features (B, T, W).
            mask_BT: true at real frames; every clip has one at least.
        """
        if inputs.ndim == 3:
            return self.forward_features(inputs, mask_BT)
        return self.heads(self.transformer(self.feature_extractor(inputs, mask_BT), mask_BT))

    def forward_features(self, features_BTW: torch.Tensor, mask_BT: torch.Tensor) -> dict[str, torch.Tensor]:
        """{head: logits (B, K)} of kept backbone output: everything from the projection on."""
        x_BTD = self.feature_extractor.projection(features_BTW)
        return self.heads(self.transformer(x_BTD, mask_BT))


def build_model(config: Config, num_class: Mapping[str, int], *, pretrained: bool = False) -> SignModel:
    """The model a config describes; the caller seeds torch for the random weights.

    Args:
        num_class: {head: classes}.
        pretrained: take timm's weights, see `resolve_pretrained`; `feature_extractor.checkpoint` goes first.

    Raises:
        ConfigError: an unknown name, or weights that do not fit.
    """
    e, t, h = config.feature_extractor, config.transformer, config.heads.model
    extractor = pick(EXTRACTORS, e.name, "feature_extractor.name")(
        e.model_path, e.representation_size, pretrained=pretrained and e.checkpoint is None
    )
    if e.checkpoint is not None:
        load_backbone(extractor.backbone, e.model_path, Path(e.checkpoint))
    transformer = pick(TRANSFORMERS, t.name, "transformer.name")(
        extractor.width,
        feedforward_size=t.feedforward_size,
        num_attention_heads=t.num_attention_heads,
        num_encoder_layers=t.num_encoder_layers,
        output_size=t.output_size,
        dropout_rate=t.dropout_rate,
        pooling=t.pooling,
    )
    heads = Heads(transformer.width, num_class, additional_layers=h.additional_layers, dropout_rate=h.dropout_rate)
    return SignModel(extractor, transformer, heads)


def load_backbone(backbone: nn.Module, model_path: str, checkpoint: Path) -> None:
    """Loads `{"backbone": state_dict, "model_path": name}`, as pre-training writes it.

    Raises:
        ConfigError: no such file, no such content, or weights of another model.
    """
    where = f"feature_extractor.checkpoint: {checkpoint}"
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read ({error.strerror}); give a file written by pre-training") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError):
        raise ConfigError(
            f"{where} holds no torch weights, or is cut off; give a file written by pre-training"
        ) from None
    if not isinstance(saved, dict) or not {"backbone", "model_path"} <= saved.keys():
        raise ConfigError(f"{where} holds no `backbone` and `model_path`; give a file written by pre-training")
    if saved["model_path"] != model_path:
        raise ConfigError(
            f"{where} is of {saved['model_path']!r}, the config asks for {model_path!r}; "
            "set feature_extractor.model_path to the former, or give another checkpoint"
        )
    try:
        backbone.load_state_dict(saved["backbone"])
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f"{where} does not fit {model_path} ({reason}); give another checkpoint") from None
