"""The sections of the config: the published YAML names, one class a section, a description a field.

Defaults live here and nowhere else; `docs/options.md` is written from these classes.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from hearai.config.validation import Fraction, Frozen, FrozenDict, Names, Real, Section, Whole, listed
from hearai.sign.hamnosys import HEADS


class DataFolder(Section):
    """One dataset folder with an annotation file of its own."""

    path: str = Field(description="Dataset folder.")
    annotation_file: str | None = Field(None, description="Annotation file inside it; unset = the common one.")


def _folders(value: Any) -> Any:
    return (value,) if isinstance(value, (str, Mapping)) else listed(value)


class GeneralParameters(Section):
    """Where the data is, how it is split, and on what the run runs."""

    data_path: Annotated[tuple[str | DataFolder, ...], Field(min_length=1), BeforeValidator(_folders)] | None = Field(
        None,
        description="Dataset folder, or a list of folders or {path, annotation_file}; unset = demo data.",
    )
    annotation_file: str | None = Field(
        None, description="Annotation file inside each folder; unset = test_<classification_mode>.txt."
    )
    ratio_train_test: Annotated[Real, Field(gt=0, lt=1)] = Field(
        0.8, description="Train share of the clips that are not test; the rest is validation."
    )
    ratio_test: Annotated[Real, Field(ge=0, lt=1)] = Field(0.15, description="Test share of all clips.")
    split: Literal["auto", "signer", "random"] = Field(
        "auto", description="signer = no signer in two splits; auto = signer where signers.csv exists."
    )
    fold: Whole = Field(0, description="Which division of the clips that are no test clips: 0, 1, 2 ...")
    train_on_validation: bool = Field(
        False, description="Train on the validation clips, too: the last epoch is then kept, as none can be chosen."
    )
    split_seed: Whole = Field(0, description="Seed of the split alone, so that no other seed moves a clip.")
    workers: Annotated[Whole, Field(ge=0)] = Field(0, description="Loader processes; 0 = load in the run's process.")
    gpu: Annotated[Whole, Field(ge=-1)] = Field(
        0, description="GPU number of a single run; -1 = CPU. Falls back to CPU with a line saying so."
    )
    path_to_save: str | None = Field(
        None,
        description="Folder of a single run; a path ending in .pth names the weights file.",
    )
    seed: Whole = Field(0, description="Seed of initial weights, batch order and augmentation.")
    measure_speed: bool = Field(
        False, description="Measure seconds_per_clip before training: a whole forward pass for one clip."
    )
    neptune: bool = Field(
        False,
        description="Log to Neptune as well: to project NEPTUNE_PROJECT_NAME, or offline without NEPTUNE_API_TOKEN.",
    )
    mlflow: bool | str = Field(
        False, description="Log to MLflow as well: true = mlflow.db beside the run's folder; or a tracking URI."
    )


class AugmentationsParameters(Section):
    """Resize and crop of every frame; random changes of training clips, one draw per clip."""

    apply_resize: bool = Field(True, description="Resize the shorter side to resize_size.")
    apply_center_crop: bool = Field(True, description="Crop the centre square of center_crop_size.")
    apply_horizontal_flip: bool = Field(False, description="Mirror half of the training clips; labels stay.")
    apply_random_erasing: bool = Field(False, description="Erase a random rectangle.")
    apply_random_rotation: bool = Field(False, description="Rotate by up to random_rotation_degree.")
    apply_color_jitter: bool = Field(False, description="Change brightness, contrast, saturation and hue.")
    apply_rgb_shift: bool = Field(False, description="Shift each colour channel.")
    apply_blur: bool = Field(False, description="Blur with a Gaussian kernel.")
    resize_size: Annotated[Whole, Field(ge=8, le=4096)] = Field(256, description="Shorter side, pixels.")
    center_crop_size: Annotated[Whole, Field(ge=8, le=4096)] = Field(256, description="Side of the crop, pixels.")
    random_erasing_probability: Fraction = Field(0.5, description="Probability of erasing.")
    random_rotation_degree: Annotated[Real, Field(ge=0, le=180)] = Field(5, description="Largest angle, degrees.")
    color_jitter_brightness: Annotated[Real, Field(ge=0)] = Field(0.1, description="Largest relative change.")
    color_jitter_contrast: Annotated[Real, Field(ge=0)] = Field(0.1, description="Largest relative change.")
    color_jitter_saturation: Annotated[Real, Field(ge=0)] = Field(0.1, description="Largest relative change.")
    color_jitter_hue: Annotated[Real, Field(ge=0, le=0.5)] = Field(0.05, description="Largest hue shift, turns.")
    rgb_shift_r_shift_limit: Fraction = Field(0.2, description="Largest shift of red, share of full scale.")
    rgb_shift_g_shift_limit: Fraction = Field(0.2, description="Largest shift of green, share of full scale.")
    rgb_shift_b_shift_limit: Fraction = Field(0.2, description="Largest shift of blue, share of full scale.")
    blur_limit: Annotated[Whole, Field(ge=1)] = Field(3, description="Largest kernel, pixels (1 = no blur).")


class TrainParameters(Section):
    """How one run trains."""

    classification_mode: str = Field("hamnosys", description="Which group of `heads` is trained.")
    objective_heads: Names = Field(
        (),
        description="Heads whose mean macro-F1 chooses the best epoch, and in a search the best trial; [] = all heads.",
    )
    epochs: Annotated[Whole, Field(ge=1)] = Field(30, description="Passes over the training clips.")
    stop_after_epoch: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="End there; learning rate and freeze schedule run as for all `epochs`."
    )
    batch_size: Annotated[Whole, Field(ge=1)] = Field(32, description="Clips per step, over all workers.")
    gradient_accumulation: Annotated[Whole, Field(ge=1)] = Field(
        1, description="Parts that each batch is computed in, one after the other: less memory, the same step."
    )
    lr: Annotated[Real, Field(gt=0, le=10)] = Field(1e-3, description="Peak learning rate.")
    optimizer: Literal["adamw", "radam", "sgd"] = Field(
        "adamw", description="Which optimizer; sgd has a Nesterov momentum of 0.9."
    )
    num_segments: Annotated[Whole, Field(ge=1)] = Field(8, description="Frames taken from a clip.")
    time: Annotated[Real, Field(gt=0)] | None = Field(
        None, description="Seconds between frames; num_segments then caps their number. Needs the clip's FPS."
    )
    fast_dev_run: bool = Field(False, description="One batch of train and validation, end to end.")
    pre_training: bool = Field(False, description="Train the extractor with the heads on single frames.")
    frames: bool = Field(True, description="Feed the pictures.")
    landmarks: bool = Field(False, description="Feed the landmarks: alone, or beside the pictures.")
    lr_schedule: Literal["multiply", "one_cycle"] = Field(
        "multiply",
        description="multiply = stairs of multiply_lr_step after a linear warm-up; "
        "one_cycle = up during the warm-up and down to almost 0, along cosines.",
    )
    warmup_steps: Annotated[Real, Field(ge=0)] = Field(
        0.1, description="Warm-up: optimizer steps, or a fraction of all steps when below 1; 0 = start at the peak."
    )
    multiply_lr_step: Annotated[Real, Field(gt=0, le=1)] = Field(
        0.95, description="Factor on the learning rate per epoch after warm-up; not looked at by one_cycle."
    )
    weight_decay: Annotated[Real, Field(ge=0)] = Field(
        0.01, description="Weight decay, not of biases and norms; decoupled but for sgd."
    )
    gradient_clip: Annotated[Real, Field(gt=0)] | None = Field(
        None, description="Largest norm of the gradient of all parameters together."
    )
    loss: Literal["cross_entropy", "bce"] = Field("cross_entropy", description="Loss of each head; bce is on one-hot.")
    label_smoothing: Annotated[Real, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of each label that is spread over all classes, in training only."
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced = a label counts inversely to how often the training clips have it, in training only.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto = bf16 on GPUs that have it.")
    compile: bool = Field(
        False, description="Train through torch.compile; without a C++ compiler the run says so and goes on."
    )


class FeatureExtractor(Section):
    """Picture -> vector: a backbone and a projection to representation_size."""

    name: Literal[
        "cnn_extractor", "multi_frame_feature_extractor", "resnet50_extractor", "video_resnet", "gcn_extractor"
    ] = Field(
        "cnn_extractor",
        description="cnn_extractor or multi_frame_feature_extractor: any timm model; resnet50_extractor: "
        "torchvision's; video_resnet: R(2+1)D over the clip; gcn_extractor: a graph over landmarks.",
    )
    model_path: str = Field("efficientnet_b1", description="Name of a timm model, for cnn_extractor.")
    representation_size: Annotated[Whole, Field(ge=1)] = Field(512, description="Width handed to the transformer.")
    pretrained: Literal["auto"] | bool = Field(
        "auto",
        description="Published weights: true = must be had, auto = where they can be had, false = random.",
    )
    checkpoint: str | None = Field(None, description="Backbone weights written by pre-training; replaces pretrained.")


class Transformer(Section):
    """Sequence of frame vectors -> one vector."""

    name: Literal[
        "sign_language_transformer", "sign_language_cnn_transformer", "hubert_transformer", "lstm", "fake_transformer"
    ] = Field(
        "sign_language_transformer",
        description="Which sequence encoder; the cnn one has convolutions over time, fake_transformer is the mean of "
        "the frames: the floor.",
    )
    feedforward_size: Annotated[Whole, Field(ge=1)] = Field(
        1024, description="Hidden width of each block; of an LSTM layer's two directions together."
    )
    num_attention_heads: Annotated[Whole, Field(ge=1)] = Field(
        4, description="Must divide representation_size; not used by lstm and fake_transformer."
    )
    num_encoder_layers: Annotated[Whole, Field(ge=1, le=64)] = Field(2, description="Blocks; layers of an LSTM.")
    output_size: Annotated[Whole, Field(ge=1)] = Field(512, description="Width handed to the heads.")
    dropout_rate: Annotated[Real, Field(ge=0, lt=1)] = Field(0.1, description="Dropout inside the blocks.")
    pooling: Literal["mean", "attention"] = Field(
        "mean", description="Frames -> one vector; attention = weighted by a learned score of each frame."
    )


class HeadParameters(Section):
    """One classification head."""

    num_class: Annotated[Whole, Field(ge=2)] | Literal["auto"] = Field(
        "auto", description="Number of classes; auto = largest label of the data + 1."
    )
    loss_weight: Annotated[Real, Field(ge=0)] = Field(1.0, description="Weight in the training loss; 0 = not trained.")


class HeadModel(Section):
    """The shape every head has."""

    additional_layers: Annotated[Whole, Field(ge=0, le=8)] = Field(
        0, description="Hidden layers before the classifier."
    )
    dropout_rate: Annotated[Real, Field(ge=0, lt=1)] = Field(0.0, description="Dropout before each layer.")


HeadGroup = Annotated[dict[str, HeadParameters], Field(min_length=1), Frozen]


class Heads(Section):
    """Groups of heads; `classification_mode` names one. Any further key is a group of your own."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, HeadGroup] = Field(init=False)

    model: HeadModel = Field(HeadModel(), description="The shape every head has.")
    gloss: HeadGroup = Field(FrozenDict(gloss=HeadParameters()), description="One head: the word.")
    hamnosys: HeadGroup = Field(
        FrozenDict({h.name: HeadParameters(num_class=h.num_class, loss_weight=0.125) for h in HEADS.values()}),
        description="The eight parts of a notation.",
    )

    @property
    def groups(self) -> dict[str, dict[str, HeadParameters]]:
        """{classification mode: {head: parameters}}."""
        return {"gloss": self.gloss, "hamnosys": self.hamnosys, **(self.__pydantic_extra__ or {})}


class FreezeScheduler(Section):
    """Which parts are frozen when (no gradient, eval mode). After the pattern everything trains."""

    model_params: Annotated[
        dict[str, Annotated[tuple[bool, ...], BeforeValidator(listed), Field(min_length=1)]], Frozen
    ] = Field(
        FrozenDict({"feature_extractor.backbone": (True,)}),
        description="{part: [true, false, ...]}, lists of equal length; true = frozen.",
    )
    freeze_pattern_repeats: (
        Annotated[tuple[Annotated[Whole, Field(ge=0)], ...], BeforeValidator(listed)] | Annotated[Whole, Field(ge=0)]
    ) = Field(
        1_000_000,
        description="[5, 3] = first entry 5 times, second 3 times; 4 = the whole pattern four times.",
    )
    freeze_mode: Literal["epoch", "step"] = Field("epoch", description="What the pattern counts.")
    verbose: bool = Field(True, description="Say in the log when parts freeze or thaw.")

    @model_validator(mode="after")
    def _equal_lengths(self) -> "FreezeScheduler":
        lengths = {part: len(pattern) for part, pattern in self.model_params.items()}
        if isinstance(self.freeze_pattern_repeats, tuple) and lengths:
            lengths["freeze_pattern_repeats"] = len(self.freeze_pattern_repeats)
        if len(set(lengths.values())) > 1:
            raise ValueError(f"lists of unequal length {lengths}; give all of them the same length")
        return self
