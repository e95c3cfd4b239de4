"""The sections of the config about the model and its freeze schedule; see `schema`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from hearai.config import limits
from hearai.config.field_types import (
    Frozen,
    FrozenDict,
    Integer,
    Kwargs,
    Number,
    OneOf,
    PartName,
    PartOf,
    Width,
    check_distinct,
    list_to_tuple,
    name_or_list,
)
from hearai.config.model_parts import (
    EXTRACTORS,
    OWN_ENCODER,
    OWN_EXTRACTOR,
    SEQUENCE_ENCODERS,
    FeatureExtractorSpec,
    SequenceEncoderSpec,
)
from hearai.config.model_parts.part_names import ENCODER, EXTRACTOR
from hearai.config.validation import Section
from hearai.sign.hamnosys import HEADS
from hearai.sign.skeleton import BODY_GROUPS, FACE_PARTS, POINT_GROUPS


def path_of_weights(pretrained: Any) -> str | None:
    """The path that a value of `feature_extractor.pretrained` is, if it is one."""
    return pretrained if isinstance(pretrained, str) and pretrained != "auto" else None


class FeatureExtractorParameters(Section):
    """Image or landmarks -> vector: a backbone and a projection to representation_size."""

    name: Annotated[str, PartOf(EXTRACTORS, EXTRACTOR)] = Field(
        "cnn_extractor", description="Feature extractor; see the table below, and extend.md for your own."
    )
    kwargs: Kwargs = Field(FrozenDict(), description="Keyword arguments of an extractor of your own, see extend.md.")
    model_path: str = Field("efficientnet_b1", description="Name of a timm model, for cnn_extractor.")
    representation_size: Width = Field(512, description="Width of a frame vector, the input of the sequence encoder.")
    pretrained: Literal["auto"] | bool | str = Field(
        "auto",
        description="Published weights: true = required, auto = if available, false = random weights; or the path of "
        "weights: a folder of timm (config.json, model.safetensors), a file, or a backbone, run or checkpoint.",
    )
    checkpoint: str | None = Field(
        None,
        description="Weights to start from: a backbone written by pre-training, or extractor and encoder of a run's "
        "checkpoint (--from); takes precedence over pretrained.",
    )
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="SHA-256 of the file of those weights; written by the run, which refuses another file."
    )
    points: Annotated[
        tuple[Annotated[str, OneOf(POINT_GROUPS)], ...],
        Field(min_length=1),
        BeforeValidator(name_or_list),
        AfterValidator(check_distinct),
    ] = Field(
        tuple(BODY_GROUPS),
        description="Which landmarks the extractor `points` reads; those that the data does not have count as unknown. "
        "eyes and lips are the few points of the pose; face_lips, face_nose and face_eyes are read from the face mesh.",
    )

    network: Annotated[dict[str, bool | int | float | str], Frozen] = Field(
        FrozenDict(),
        description="Of videomae and vjepa2: values as in config.json, such as hidden_size; read from the folder of "
        "pretrained. {} without such a folder = a small network.",
    )

    @property
    def spec(self) -> FeatureExtractorSpec:
        """What is known about the extractor of this name."""
        return EXTRACTORS.get(self.name, OWN_EXTRACTOR)

    @property
    def reads_face(self) -> bool:
        """Whether it reads points of the face mesh."""
        return "points" in self.spec.options and any(name in FACE_PARTS for name in self.points)

    @property
    def weights_path(self) -> str | None:
        """The path that `pretrained` gives, if it is one."""
        return path_of_weights(self.pretrained)


class Transformer(Section):
    """Sequence encoder: frame vectors -> one vector."""

    name: Annotated[str, PartOf(SEQUENCE_ENCODERS, ENCODER)] = Field(
        "sign_language_transformer", description="Sequence encoder; see the table below, and extend.md for your own."
    )
    kwargs: Kwargs = Field(FrozenDict(), description="Keyword arguments of an encoder of your own, see extend.md.")
    feedforward_size: Width = Field(
        1024, description="Hidden width of each block; of an LSTM layer's two directions together."
    )
    num_attention_heads: Width = Field(
        4, description="Must divide representation_size; ignored by encoders without attention."
    )
    num_encoder_layers: Annotated[Integer, Field(ge=1, le=64)] = Field(2, description="Blocks, or layers of an LSTM.")
    output_size: Width = Field(512, description="Width of the output.")
    dropout_rate: Annotated[Number, Field(ge=0, lt=1)] = Field(0.1, description="Dropout inside the blocks.")
    pooling: Literal["mean", "attention"] = Field(
        "mean", description="Frames -> one vector; attention = mean weighted by a learned score per frame."
    )
    kernel_size: Annotated[Integer, Field(ge=1, le=limits.MAX_KERNEL)] = Field(
        17, description="Frames that a convolution of conv1d_transformer sees: one and those before it."
    )
    late_dropout_rate: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.0, description="Dropout of the output of conv1d_transformer."
    )
    late_dropout_after: Annotated[Integer, Field(ge=0, le=10**12)] = Field(
        0, description="Training batches (micro-batches with gradient_accumulation) before late_dropout_rate applies."
    )

    @property
    def spec(self) -> SequenceEncoderSpec:
        """What is known about the encoder of this name."""
        return SEQUENCE_ENCODERS.get(self.name, OWN_ENCODER)


class HeadParameters(Section):
    """One classification head."""

    num_class: Annotated[Integer, Field(ge=2, le=limits.MAX_CLASSES)] | Literal["auto"] = Field(
        "auto", description="Number of classes; auto = largest label in the data + 1."
    )
    loss_weight: Annotated[Number, Field(ge=0, le=1e6)] = Field(
        1.0, description="Weight in the training loss; 0 = not trained."
    )


class HeadModel(Section):
    """Architecture of every head."""

    additional_layers: Annotated[Integer, Field(ge=0, le=8)] = Field(
        0, description="Hidden layers before the classifier."
    )
    dropout_rate: Annotated[Number, Field(ge=0, lt=1)] = Field(0.0, description="Dropout before each layer.")


HeadGroup = Annotated[dict[PartName, HeadParameters], Field(min_length=1), Frozen]


class HeadGroups(Section):
    """Groups of heads; `classification_mode` selects one. Any other key defines a custom group."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, HeadGroup] = Field(init=False)

    model: HeadModel = Field(HeadModel(), description="Architecture of every head.")
    gloss: HeadGroup = Field(FrozenDict(gloss=HeadParameters()), description="One head: the gloss.")
    hamnosys: HeadGroup = Field(
        FrozenDict({h.name: HeadParameters(num_class=h.num_class, loss_weight=0.125) for h in HEADS.values()}),
        description="The eight parts of a HamNoSys notation.",
    )

    @property
    def groups(self) -> dict[str, dict[str, HeadParameters]]:
        """{classification mode: {head: parameters}}."""
        return {"gloss": self.gloss, "hamnosys": self.hamnosys, **(self.__pydantic_extra__ or {})}


class FreezeScheduler(Section):
    """Which parts of the model are frozen when (no gradient, eval mode). After the pattern nothing is frozen."""

    model_params: Annotated[
        dict[str, Annotated[tuple[bool, ...], BeforeValidator(list_to_tuple), Field(min_length=1)]], Frozen
    ] = Field(
        FrozenDict({"feature_extractor.backbone": (True,)}),
        description="{part: [true, false, ...]}, lists of equal length; true = frozen. Unless it is given, a backbone "
        "without pretrained weights is not frozen.",
    )
    freeze_pattern_repeats: (
        Annotated[tuple[Annotated[Integer, Field(ge=0, le=10**9)], ...], BeforeValidator(list_to_tuple)]
        | Annotated[Integer, Field(ge=0, le=10**9)]
    ) = Field(
        1_000_000,
        description="[5, 3] = the first entry for 5 units, the second for 3; 4 = the whole pattern four times.",
    )
    freeze_mode: Literal["epoch", "step"] = Field("epoch", description="Unit of the pattern.")
    verbose: bool = Field(True, description="Log when parts are frozen or unfrozen.")

    @model_validator(mode="after")
    def _equal_lengths(self) -> "FreezeScheduler":
        lengths = {part: len(pattern) for part, pattern in self.model_params.items()}
        if isinstance(self.freeze_pattern_repeats, tuple) and lengths:
            lengths["freeze_pattern_repeats"] = len(self.freeze_pattern_repeats)
        if len(set(lengths.values())) > 1:
            raise ValueError(f"lists of unequal length {lengths}; all must have the same length")
        return self
