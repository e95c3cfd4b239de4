"""The whole model: pictures or landmarks -> logits. B clips, T frames, D width, W backbone width, K classes.

C/H/W picture, or P points with C channels.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from hearai.config.config import Config
from hearai.errors import ConfigError
from hearai.models.feature_extractors import (
    FeatureExtractor,
    backbone_name,
    build_extractor,
    build_landmark_extractor,
    kind_of,
)
from hearai.models.heads import Heads
from hearai.models.pretrained import resolve_pretrained
from hearai.models.sequence_encoders import TRANSFORMERS


class SignModel(nn.Module):
    """Per-frame encoders, sequence encoder, one classifier a head.

    Args:
        landmark_extractor: stands beside an extractor of pictures where landmarks are fed too; the vectors of both
            have gone through a LayerNorm each and are added.
    """

    def __init__(
        self,
        feature_extractor: FeatureExtractor,
        transformer: nn.Module,
        heads: Heads,
        *,
        reads: str = "frames",
        landmark_extractor: FeatureExtractor | None = None,
    ):
        super().__init__()
        self.reads = reads
        """Which of the inputs the feature extractor takes: "frames" or "landmarks"."""
        self.feature_extractor, self.landmark_extractor = feature_extractor, landmark_extractor
        self.transformer, self.heads = transformer, heads

    def forward(self, inputs: Mapping[str, torch.Tensor], mask_BT: torch.Tensor) -> dict[str, torch.Tensor]:
        """{head: logits (B, K)}.

        All kinds of input pass here, so that a wrapper for several workers sees every step.

        Args:
            inputs: what the model reads of `frames` normalised pictures (B, T, C, H, W); `features`, the kept output
                of the backbone for them (B, T, W), which goes first; `landmarks` (B, T, P, C).
            mask_BT: true at real frames; every clip has one at least.
        """
        if "features" in inputs:
            x_BTD = self.feature_extractor.projection(inputs["features"])
        else:
            x_BTD = self.feature_extractor(inputs[self.reads], mask_BT)
        if self.landmark_extractor is not None:
            x_BTD = x_BTD + self.landmark_extractor(inputs["landmarks"], mask_BT)
        return self.heads(self.transformer(x_BTD, mask_BT))


def build_model(config: Config, num_class: Mapping[str, int], *, pretrained: bool = False) -> SignModel:
    """The model a config describes; the caller seeds torch for the random weights.

    Args:
        num_class: {head: classes}.
        pretrained: take published weights, see `resolve_pretrained`; `feature_extractor.checkpoint` goes first.

    Raises:
        ConfigError: an unknown timm model, or weights that do not fit.
    """
    e, t, h = config.feature_extractor, config.transformer, config.heads.model
    extractor = build_extractor(e, pretrained=pretrained and e.checkpoint is None)
    if e.checkpoint is not None:
        load_backbone(extractor.backbone, backbone_name(e), Path(e.checkpoint))
    background = config.train_parameters.frames and config.train_parameters.landmarks
    transformer = TRANSFORMERS[t.name](
        extractor.width,
        feedforward_size=t.feedforward_size,
        num_attention_heads=t.num_attention_heads,
        num_encoder_layers=t.num_encoder_layers,
        output_size=t.output_size,
        dropout_rate=t.dropout_rate,
        pooling=t.pooling,
    )
    return SignModel(
        extractor,
        transformer,
        Heads(transformer.width, num_class, additional_layers=h.additional_layers, dropout_rate=h.dropout_rate),
        reads=kind_of(e).reads,
        landmark_extractor=build_landmark_extractor(extractor.width) if background else None,
    )


def load_backbone(backbone: nn.Module, model: str, checkpoint: Path) -> None:
    """Loads `{"backbone": state_dict, "model_path": name}`, as pre-training writes it.

    Raises:
        ConfigError: no such file, no such content, or weights of another model.
    """
    where = f"feature_extractor.checkpoint: {checkpoint}"
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read ({error.strerror}); give a file written by pre-training") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError):
        raise ConfigError(
            f"{where} holds no torch weights, or is cut off; give a file written by pre-training"
        ) from None
    if not isinstance(saved, dict) or not {"backbone", "model_path"} <= saved.keys():
        raise ConfigError(f"{where} holds no `backbone` and `model_path`; give a file written by pre-training")
    if saved["model_path"] != model:
        raise ConfigError(
            f"{where} is of {saved['model_path']!r}, the config asks for {model!r}; "
            "set feature_extractor.model_path (or name) to the former, or give another checkpoint"
        )
    try:
        backbone.load_state_dict(saved["backbone"])
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f"{where} does not fit {model} ({reason}); give another checkpoint") from None


def build_initial_model(config: Config, num_class: Mapping[str, int]) -> SignModel:
    """The model with the weights that the config's seed, checkpoint or `pretrained` (`auto` is decided here) give.

    Raises:
        ConfigError: an unknown name, or weights that cannot be had or do not fit.
    """
    extractor = config.feature_extractor
    source = kind_of(extractor).weights(extractor.model_path)
    pretrained = extractor.checkpoint is None and resolve_pretrained(source, extractor.pretrained)
    torch.manual_seed(config.general_parameters.seed)
    return build_model(config, num_class, pretrained=pretrained)
