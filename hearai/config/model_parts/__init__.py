"""The parts a model can be built from, by the names that a config gives them.

One entry here makes a part known everywhere: to the config and its checks, the search spaces, the models, the
benchmark, the tests and docs/options.md. See "Adding a part" in docs/models.md.

Configs are validated without importing torch, so an entry names the code of its part as "module:object"; it is
imported when the first model with that part is built.

Parts of a user's own have no entry: they are named `module:Class`, or by an entry point of an installed package, see
`part_names.py`. What is known of them is in `OWN_EXTRACTOR` and `OWN_ENCODER`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FeatureExtractorSpec:
    """One value of `feature_extractor.name`, and what the rest of the code must know about it."""

    build: str
    """"module:function" of (model_path, pretrained, **options) -> `Backbone`."""
    summary: str
    """What it is, for docs/options.md."""
    weights: str | None = None
    """"module:function" of (model_path) -> `WeightSource`; None = there are no published weights."""
    reads: Literal["frames", "landmarks", "either"] = "frames"
    """Which of the model's inputs it takes; either = images where the model has any."""
    per_frame: bool = True
    """Whether the features of a frame depend on that frame alone, so that they can be cached and pre-trained."""
    uses_model_path: bool = False
    """Whether `feature_extractor.model_path` chooses the network."""
    options: tuple[str, ...] = ()
    """Further fields of `feature_extractor` that it alone understands, passed to `build` by name."""
    is_own: bool = False
    """Whether it is a part of the user's own."""

    @property
    def input(self) -> str:
        """What it reads, for people."""
        whole = {"frames": "whole clips", "landmarks": "landmarks of whole clips", "either": "whole clips"}
        return self.reads if self.per_frame else whole[self.reads]


@dataclass(frozen=True)
class SequenceEncoderSpec:
    """One value of `transformer.name`, and what the rest of the code must know about it."""

    build: str
    """"module:class"; the interface is in `hearai.models.sequence_encoders`."""
    summary: str
    """What it is, for docs/options.md."""
    uses_attention_heads: bool = False
    """Whether it splits its input among `num_attention_heads`, which must then divide the width."""
    uses_pooling: bool = True
    """Whether `transformer.pooling` chooses how frames become one vector; otherwise it is always the mean."""
    options: tuple[str, ...] = ()
    """Further fields of `transformer` that it understands, passed to `build` by name; without it they are refused."""
    is_own: bool = False
    """Whether it is a part of the user's own."""


_TIMM = FeatureExtractorSpec(
    "hearai.models.feature_extractors:timm_backbone",
    "any [timm](https://github.com/huggingface/pytorch-image-models) model (`model_path`), one frame at a time",
    weights="hearai.models.pretrained.published:timm_weights",
    uses_model_path=True,
)

EXTRACTORS = {
    "cnn_extractor": _TIMM,
    "multi_frame_feature_extractor": _TIMM,  # its name in the published pipeline
    "resnet50_extractor": FeatureExtractorSpec(
        "hearai.models.feature_extractors:resnet50_backbone",
        "torchvision's ResNet-50 (He et al. 2016)",
        weights="hearai.models.feature_extractors:resnet50_weights",
    ),
    "video_resnet": FeatureExtractorSpec(
        "hearai.models.feature_extractors:video_resnet_backbone",
        "torchvision's R(2+1)D-18 (Tran et al. 2018) with its temporal strides turned into dilations: one vector per "
        "frame, every eighth identical to the published network's",
        weights="hearai.models.feature_extractors:video_resnet_weights",
        per_frame=False,
    ),
    "videomae": FeatureExtractorSpec(
        "hearai.models.feature_extractors:videomae_backbone",
        "VideoMAE (Tong et al. 2022) from a folder of `transformers` (`pretrained`): one vector per tubelet of two "
        "frames",
        per_frame=False,
        options=("network",),
    ),
    "vjepa2": FeatureExtractorSpec(
        "hearai.models.feature_extractors:vjepa2_backbone",
        "V-JEPA 2 (Assran et al. 2025) from a folder of `transformers` (`pretrained`): one vector per tubelet of two "
        "frames",
        per_frame=False,
        options=("network",),
    ),
    "gcn_extractor": FeatureExtractorSpec(
        "hearai.models.feature_extractors:gcn_backbone",
        "graph convolutions over the hands and body (Kipf & Welling 2017), one frame at a time",
        reads="landmarks",
    ),
    "points": FeatureExtractorSpec(
        "hearai.models.landmarks.points:points_backbone",
        "chosen landmarks (`points`): x and y, gaps filled in time, their changes, which are known, and the shapes of "
        "the hands (after Kaggle ASL Signs 2023, first place)",
        reads="landmarks",
        per_frame=False,
        options=("points",),
    ),
}
"""{`feature_extractor.name`: what is known about it}."""

SEQUENCE_ENCODERS = {
    "sign_language_transformer": SequenceEncoderSpec(
        "hearai.models.transformer:SignLanguageTransformer",
        "pre-norm transformer encoder with sinusoidal positions (Camgoz et al. 2020)",
        uses_attention_heads=True,
    ),
    "sign_language_cnn_transformer": SequenceEncoderSpec(
        "hearai.models.transformer:SignLanguageCnnTransformer",
        "the same with a depthwise convolution over time in each block (Conformer, Gulati et al. 2020)",
        uses_attention_heads=True,
    ),
    "hubert_transformer": SequenceEncoderSpec(
        "hearai.models.hubert:HubertTransformer",
        "HuBERT's encoder (Hsu et al. 2021; Hugging Face `transformers`) over frame vectors",
        uses_attention_heads=True,
    ),
    "conv1d_transformer": SequenceEncoderSpec(
        "hearai.models.conv1d_transformer:Conv1dTransformer",
        "in each layer three depthwise convolutions over time and an attention block (Kaggle ASL Signs 2023, first "
        "place: `representation_size` 192, `feedforward_size` 384, `late_dropout_rate` 0.8)",
        uses_attention_heads=True,
        options=("kernel_size", "late_dropout_rate", "late_dropout_after"),
    ),
    "lstm": SequenceEncoderSpec(
        "hearai.models.lstm:LSTMEncoder",
        "bidirectional LSTM; `feedforward_size` is its width",
    ),
    "fake_transformer": SequenceEncoderSpec(
        "hearai.models.sequence_encoders:FakeTransformer",
        "the mean of the frames and a linear map: the baseline that every other encoder must beat",
        uses_pooling=False,
    ),
}
"""{`transformer.name`: what is known about it}."""

OWN_EXTRACTOR = FeatureExtractorSpec("", "a part of your own", reads="either", per_frame=False, is_own=True)
"""What is known about every feature extractor without an entry."""

OWN_ENCODER = SequenceEncoderSpec("", "a part of your own", is_own=True)
"""What is known about every sequence encoder without an entry; it need not use the fields that it is offered."""

LOSSES = {
    "cross_entropy": "hearai.training.optim.loss:cross_entropy",
    "bce": "hearai.training.optim.loss:bce",
}
"""{`train_parameters.loss`: "module:function" of (logits, labels, label smoothing) -> losses of the clips}."""

AUGMENTATIONS = {"none": None}
"""{`augmentations_parameters.augmentation`: what it is}. All of ours are options of their own."""
