"""The complete model: images or landmarks -> logits. B clips, T frames, D width, W backbone width, K classes.

C/H/W image, or P points with C channels.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hearai.config.config import Config
from hearai.errors import ConfigError
from hearai.models.feature_extractors import (
    FeatureExtractor,
    backbone_name,
    build_extractor,
    build_landmark_extractor,
    load_local,
    weight_source,
)
from hearai.models.heads import Heads
from hearai.models.pretrained.clip_table import no_clips, stated_clips
from hearai.models.pretrained.local import Taken
from hearai.models.pretrained.published import resolve_pretrained
from hearai.models.pretrained.transfer import is_run, load_run
from hearai.models.sequence_encoders import build_sequence_encoder
from hearai.models.video.tubelets import tubelet_means
from hearai.models.weights import UNREADABLE, load_weights, read_tensors

BYTES_PER_WEIGHT = 4


class SignModel(nn.Module):
    """Feature extractor, sequence encoder and one classifier per head.

    Args:
        landmark_extractor: the second extractor of a model that reads both images and landmarks; the frame vectors of
            both, each normalised by a LayerNorm, are added.
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
        """The input of the feature extractor: "frames" or "landmarks"."""
        self.feature_extractor, self.landmark_extractor = feature_extractor, landmark_extractor
        self.transformer, self.heads = transformer, heads
        self.start: Taken | None = None
        """What was taken from a file of weights that was not made for this study or run."""
        self.start_clips: torch.Tensor | None = no_clips()
        """Digests (N, 2) of the clips that its initial weights were trained on, see `Taken`; None = not known."""

    def forward(self, inputs: Mapping[str, torch.Tensor], mask_BT: torch.Tensor) -> dict[str, torch.Tensor]:
        """{head: logits (B, K)}.

        Handles all kinds of input, so that a wrapper for data parallelism sees every step.

        Args:
            inputs: those that the model reads of `frames`, normalised images (B, T, C, H, W); `features`, the cached
                backbone output for them (B, T, W), or activations inside the backbone where it is split, which takes
                precedence; `landmarks` (B, T, P, C).
            mask_BT: true at real frames; every clip has at least one.
        """
        return self.heads(self.embed(inputs, mask_BT))

    def embed(self, inputs: Mapping[str, torch.Tensor], mask_BT: torch.Tensor) -> torch.Tensor:
        """The vector of each clip from which the heads predict, (B, width of the encoder); arguments as `forward`."""
        vectors_BU = self.feature_extractor.vector_mask(mask_BT)
        if "features" in inputs:
            x_BTD = self.feature_extractor.from_features(inputs["features"], mask_BT)
        else:
            x_BTD = self.feature_extractor(inputs[self.reads], mask_BT)
        if self.landmark_extractor is not None:
            points_BTD = self.landmark_extractor(inputs["landmarks"], mask_BT)
            x_BTD = x_BTD + tubelet_means(points_BTD, mask_BT, self.feature_extractor.stride)
        return self.transformer(x_BTD, vectors_BU)


def build_model(config: Config, num_class: Mapping[str, int], *, pretrained: bool = False) -> SignModel:
    """The model that a config describes; the caller seeds torch for the random weights.

    Args:
        num_class: {head: number of classes}.
        pretrained: load the weights that `feature_extractor.pretrained` names: published ones, see
            `resolve_pretrained`, or those of a path; `feature_extractor.checkpoint` takes precedence.

    Raises:
        ConfigError: an unknown timm model, or weights that do not fit.
    """
    check_size(config, num_class)
    settings, head = config.feature_extractor, config.heads.model
    loads = pretrained and settings.checkpoint is None
    extractor = build_extractor(settings, pretrained=loads and settings.weights_path is None)
    start = load_local(extractor, settings) if loads and settings.weights_path is not None else None
    encoder = build_sequence_encoder(config.transformer, extractor.width)
    reads_both = config.train_parameters.frames and config.train_parameters.landmarks
    model = SignModel(
        extractor,
        encoder,
        Heads(encoder.width, num_class, additional_layers=head.additional_layers, dropout_rate=head.dropout_rate),
        reads="frames" if config.train_parameters.frames else "landmarks",
        landmark_extractor=build_landmark_extractor(extractor.width) if reads_both else None,
    )
    if settings.checkpoint is not None:
        model.start, model.start_clips = load_checkpoint(model, config)
    elif start is not None:
        model.start, model.start_clips = start, start.clips_N2
    return model


def check_size(config: Config, num_class: Mapping[str, int]) -> None:
    """Refuses a model whose weights alone exceed this machine's memory, before it is allocated.

    A lower bound: one matrix per layer of the sequence encoder, the output and the classifiers.

    Raises:
        ConfigError: the widths, and the memory that they need at least.
    """
    encoder, width = config.transformer, config.feature_extractor.representation_size
    layers = encoder.num_encoder_layers if encoder.spec.uses_pooling else 0
    weights = layers * width * encoder.feedforward_size + encoder.output_size * (width + sum(num_class.values()))
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if weights * BYTES_PER_WEIGHT > available:
        raise ConfigError(
            f"transformer: {layers} layers of {width} x {encoder.feedforward_size} weights, output_size "
            f"{encoder.output_size} and {sum(num_class.values())} classes need at least "
            f"{weights * BYTES_PER_WEIGHT / 1e9:,.0f} GB, and this machine has {available / 1e9:,.0f}; lower "
            "feature_extractor.representation_size, feedforward_size, output_size or num_class"
        )


def load_checkpoint(model: SignModel, config: Config) -> tuple[Taken | None, torch.Tensor | None]:
    """Loads `feature_extractor.checkpoint`: a backbone written by pre-training, or extractor and encoder of a run.

    Returns:
        (What was taken, None for a backbone that was pre-trained for this study or run; see `SignModel.start_clips`.)

    Raises:
        ConfigError: the file is missing, has other content, or has the weights of another model.
    """
    settings, file = config.feature_extractor, Path(config.feature_extractor.checkpoint or "")
    where = f"feature_extractor.checkpoint: {file}"
    saved = read_start(file, where)
    if is_run(saved):
        taken = load_run(model, config, saved, file, where)
        return taken, taken.clips_N2
    wanted = backbone_name(settings)
    if saved["model_path"] != wanted:
        raise ConfigError(
            f"{where} has weights of {saved['model_path']!r}, but the config asks for {wanted!r}; "
            "set feature_extractor.model_path (or name) to the former, or give another checkpoint"
        )
    try:
        load_weights(model.feature_extractor.backbone, saved["backbone"])
    except ValueError as problem:
        raise ConfigError(f"{where} does not fit {wanted} ({problem}); give another checkpoint") from None
    clips_N2 = stated_clips(saved)
    if (sha256 := stated_sha256(saved)) is None:
        return None, clips_N2
    left = saved.get("not_taken")
    names = tuple(map(str, left)) if isinstance(left, list) else ()
    source = Path(str(saved.get("source", file)))
    return Taken(source, sha256, {"feature_extractor.backbone": len(saved["backbone"])}, names, clips_N2), clips_N2


def read_start(file: Path, where: str) -> dict[str, Any]:
    """What a file for `feature_extractor.checkpoint` holds; where: for messages.

    Raises:
        ConfigError: the file is missing, or has other content.
    """
    try:
        saved = read_tensors(file)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read ({error.strerror}); give a file written by pre-training") from None
    except UNREADABLE:
        raise ConfigError(
            f"{where} does not contain torch weights, or is truncated; give a file written by pre-training"
        ) from None
    if is_run(saved) or (isinstance(saved, dict) and {"backbone", "model_path"} <= saved.keys()):
        return saved
    raise ConfigError(
        f"{where} does not contain `backbone` and `model_path`; give a file written by pre-training, or the checkpoint "
        "of a run"
    )


def stated_sha256(saved: Mapping[str, Any]) -> str | None:
    """The SHA-256 of the file from which a backbone was taken, as the copy in a study states it."""
    sha256 = saved.get("sha256")
    return sha256 if isinstance(sha256, str) else None


def build_initial_model(config: Config, num_class: Mapping[str, int]) -> SignModel:
    """The model with initial weights from the config's seed, `checkpoint` or `pretrained` (`auto` is resolved here).

    Raises:
        ConfigError: an unknown timm model, or weights that are not available or do not fit.
    """
    extractor = config.feature_extractor
    source = weight_source(extractor)
    is_path, has_checkpoint = extractor.weights_path is not None, extractor.checkpoint is not None
    pretrained = is_path or (not has_checkpoint and resolve_pretrained(source, extractor.pretrained))
    torch.manual_seed(config.general_parameters.seed)
    return build_model(config, num_class, pretrained=pretrained)
