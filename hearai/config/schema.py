"""The sections of the config, by their published YAML names: one class per section, one description per field.

Defaults are defined here only; docs/options.md is generated from these classes (`make docs`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hearai.config import limits
from hearai.config.field_types import (
    BatchSize,
    Epochs,
    Fraction,
    FramePattern,
    FrozenDict,
    HeadGroupNames,
    HueJitter,
    Integer,
    Jitter,
    Kwargs,
    Names,
    Number,
    OneOf,
    PartOf,
    Seed,
    Sides,
    list_to_tuple,
)
from hearai.config.model_parts import (
    AUGMENTATIONS,
    LOSSES,
)
from hearai.config.model_parts.part_names import AUGMENTATION, LOSS
from hearai.config.validation import Section
from hearai.metrics import MACRO_F1, SCORES


class DataFolder(Section):
    """A dataset folder with its own annotation file."""

    path: str = Field(description="Dataset folder.")
    annotation_file: str | None = Field(
        None, description="Annotation file inside it; unset = general_parameters.annotation_file."
    )
    frame_pattern: FramePattern | None = Field(
        None, description="File names of its frames; unset = general_parameters.frame_pattern."
    )


def _folders(value: Any) -> Any:
    return (value,) if isinstance(value, (str, Mapping)) else list_to_tuple(value)


class GeneralParameters(Section):
    """The data, its split, and the hardware of a run."""

    data_path: Annotated[tuple[str | DataFolder, ...], Field(min_length=1), BeforeValidator(_folders)] | None = Field(
        None,
        description="A dataset folder, or a list of folders or {path, annotation_file, frame_pattern}; "
        "unset = demo data.",
    )
    annotation_file: str | None = Field(
        None,
        description="Annotation file in each dataset folder; unset = test_<classification_mode>.txt, of several groups "
        "one each.",
    )
    frame_pattern: FramePattern | None = Field(
        None,
        description="File names of the frames, such as 'img_{number}.png': {number} is the frame's number, with or "
        "without leading zeros, {name} the clip's name; unset = {name}_{number}.jpg without leading zeros.",
    )
    follow_symlinks: bool = Field(
        False, description="Read clip folders and files that are symlinks to places outside the dataset folder, too."
    )
    ratio_train_test: Annotated[Number, Field(gt=0, lt=1)] = Field(
        0.8, description="Share of the non-test clips used for training; the rest is for validation."
    )
    ratio_test: Annotated[Number, Field(ge=0, lt=1)] = Field(0.15, description="Share of all clips used for testing.")
    split: Literal["auto", "given", "signer", "random"] = Field(
        "auto",
        description="given = as splits.csv says, which may be an official split; signer = each signer is in one split "
        "only; auto = given if splits.csv exists, else signer if signers.csv exists, else random.",
    )
    fold: Annotated[Integer, Field(ge=0, lt=limits.MAX_FOLDS)] = Field(
        0, description="Index of the fold, a division of the non-test clips: 0, 1, 2 ..."
    )
    train_on_validation: bool = Field(
        False,
        description="Also train on the validation clips; the last epoch is kept, since no best one can be selected.",
    )
    split_seed: Seed = Field(0, description="Seed of the split; no other seed affects it.")
    workers: Annotated[Integer, Field(ge=0, le=limits.MAX_PROCESSES)] = Field(
        0, description="Data loader processes; 0 = load in the main process."
    )
    gpu: Annotated[Integer, Field(ge=-1, le=limits.MAX_GPU)] = Field(
        0, description="GPU index of a single run; -1 = CPU. Without a GPU the run falls back to the CPU and logs it."
    )
    frame_cache_gb: Annotated[Number, Field(ge=0, le=limits.MAX_GIGABYTES)] = Field(
        10,
        description="Gigabytes of decoded frames kept in the cache for runs that train the extractor on images; frames "
        "beyond it are decoded in every epoch. Also the limit for activations of a partially frozen backbone. 0 = keep "
        "none.",
    )
    path_to_save: str | None = Field(
        None, description="Output folder of a single run; a path ending in .pth names the weights file."
    )
    seed: Seed = Field(0, description="Seed of weight initialisation, batch order and augmentation.")
    measure_speed: bool = Field(
        False, description="Measure seconds_per_clip before training: a full forward pass of one clip."
    )
    neptune: bool = Field(
        False,
        description="Also log to Neptune: to the project NEPTUNE_PROJECT_NAME, or offline without NEPTUNE_API_TOKEN.",
    )
    mlflow: bool | str = Field(
        False, description="Also log to MLflow: true = mlflow.db next to the run folder; or a tracking URI."
    )


class AugmentationsParameters(Section):
    """Resize and crop of all frames; random augmentation of training clips, drawn once per clip and epoch.

    Landmarks are changed by apply_horizontal_flip, which swaps left and right, apply_random_rotation and landmark_*;
    0 = off.
    """

    apply_resize: bool = Field(True, description="Resize the shorter side to resize_size.")
    apply_center_crop: bool = Field(True, description="Crop a centre square of center_crop_size.")
    apply_horizontal_flip: bool = Field(
        False, description="Mirror a training clip with probability 0.5; labels are unchanged."
    )
    apply_random_erasing: bool = Field(False, description="Erase a random rectangle.")
    apply_random_rotation: bool = Field(False, description="Rotate by up to random_rotation_degree.")
    apply_color_jitter: bool = Field(False, description="Change brightness, contrast, saturation and hue.")
    apply_rgb_shift: bool = Field(False, description="Shift each colour channel.")
    apply_blur: bool = Field(False, description="Blur with a Gaussian kernel.")
    resize_size: Annotated[Integer, Field(ge=8, le=4096)] = Field(256, description="Shorter side, pixels.")
    center_crop_size: Sides = Field(256, description="Crop, pixels: the side of a square, [side] or [height, width].")
    random_erasing_probability: Fraction = Field(0.5, description="Probability of erasing.")
    random_rotation_degree: Annotated[Number, Field(ge=0, le=180)] = Field(5, description="Maximum angle, degrees.")
    color_jitter_brightness: Jitter = Field(0.1, description="Maximum relative change, or [min, max] of the factor.")
    color_jitter_contrast: Jitter = Field(0.1, description="Maximum relative change, or [min, max] of the factor.")
    color_jitter_saturation: Jitter = Field(0.1, description="Maximum relative change, or [min, max] of the factor.")
    color_jitter_hue: HueJitter = Field(0.05, description="Maximum shift, or [min, max]; in turns of the hue circle.")
    rgb_shift_r_shift_limit: Fraction = Field(0.2, description="Maximum shift of red, as a fraction of full scale.")
    rgb_shift_g_shift_limit: Fraction = Field(0.2, description="Maximum shift of green, as a fraction of full scale.")
    rgb_shift_b_shift_limit: Fraction = Field(0.2, description="Maximum shift of blue, as a fraction of full scale.")
    blur_limit: Annotated[Integer, Field(ge=1, le=4096)] = Field(3, description="Maximum kernel size in pixels.")
    landmark_resample: Annotated[Number, Field(ge=0, le=0.9)] = Field(
        0.0, description="Landmarks alone: 0.2 = a clip becomes 0.8 to 1.2 times as long. Requires frames: false."
    )
    landmark_scale: Annotated[Number, Field(ge=0, le=0.9)] = Field(
        0.0, description="Landmarks: maximum relative change of size."
    )
    landmark_shift: Annotated[Number, Field(ge=0, le=10)] = Field(
        0.0, description="Landmarks: maximum shift along x and y, in widths of the shoulders."
    )
    landmark_rotation: Annotated[Number, Field(ge=0, le=180)] = Field(
        0.0, description="Landmarks: maximum angle, degrees; the images of a clip are not rotated."
    )
    landmark_time_mask: Fraction = Field(
        0.0, description="Landmarks: the longest stretch in which all points become unknown, as a share of the clip."
    )
    landmark_point_mask: Fraction = Field(
        0.0, description="Landmarks: the largest share of points that become unknown for the whole clip."
    )
    augmentation: Annotated[str, PartOf(AUGMENTATIONS, AUGMENTATION)] = Field(
        "none", description="An augmentation of your own, after all others; see extend.md."
    )
    augmentation_kwargs: Kwargs = Field(FrozenDict(), description="Keyword arguments of an augmentation of your own.")

    @property
    def crop_sides(self) -> tuple[int, int]:
        """(height, width) of the crop, pixels."""
        sides = self.center_crop_size
        return (sides, sides) if isinstance(sides, int) else (sides[0], sides[-1])


class TrainParameters(Section):
    """Training of one run."""

    classification_mode: HeadGroupNames = Field(
        "hamnosys",
        description="The group of `heads` to train; or several, such as [gloss, hamnosys], from an annotation file of "
        "each: a clip in one of the files only trains the heads of that.",
    )
    objective_heads: Names = Field(
        (),
        description="Heads whose mean score selects the best epoch, and in a search the best trial; [] = all heads.",
    )
    objective_metric: Annotated[str, OneOf(SCORES)] = Field(
        MACRO_F1,
        description="That score: macro_f1; top1, top5, top10 (with _per_class: mean over classes, not clips), or mrr.",
    )
    epochs: Epochs = Field(30, description="Passes over the training clips.")
    stop_after_epoch: Epochs | None = Field(
        None, description="Stop after this epoch; the learning rate and freeze schedules are still those of `epochs`."
    )
    batch_size: BatchSize = Field(32, description="Clips per optimizer step, over all workers.")
    gradient_accumulation: BatchSize = Field(
        1, description="Micro-batches per batch: less memory, the same optimizer step."
    )
    lr: Annotated[Number, Field(gt=0, le=limits.MAX_LR)] = Field(1e-3, description="Peak learning rate.")
    optimizer: Literal["adamw", "radam", "sgd"] = Field(
        "adamw", description="Optimizer; sgd uses Nesterov momentum 0.9."
    )
    num_segments: Annotated[Integer, Field(ge=1, le=10_000)] = Field(8, description="Frames sampled from each clip.")
    time: Annotated[Number, Field(gt=0, le=limits.MAX_SECONDS)] | None = Field(
        None, description="Seconds between sampled frames, at most num_segments of them. Requires the FPS of each clip."
    )
    fast_dev_run: bool = Field(False, description="Run a single training and validation batch as a smoke test.")
    pre_training: bool = Field(False, description="Pre-train the extractor and the heads on single frames.")
    frames: bool = Field(True, description="Use the images of a clip as input.")
    landmarks: bool = Field(
        False, description="Use the landmarks of a clip as input, alone or in addition to its images."
    )
    lr_schedule: Literal["multiply", "one_cycle"] = Field(
        "multiply",
        description="multiply = linear warm-up, then a factor of multiply_lr_step per epoch; "
        "one_cycle = cosine warm-up, then cosine decay to almost 0.",
    )
    warmup_steps: Annotated[Number, Field(ge=0, le=1e12)] = Field(
        0.1, description="Warm-up: number of optimizer steps, or a fraction of all steps if below 1; 0 = none."
    )
    multiply_lr_step: Annotated[Number, Field(gt=0, le=1)] = Field(
        0.95, description="Learning-rate factor per epoch after the warm-up; ignored by one_cycle."
    )
    weight_decay: Annotated[Number, Field(ge=0, le=limits.MAX_WEIGHT)] = Field(
        0.01, description="Weight decay, except of biases and norms; decoupled, except with sgd."
    )
    gradient_clip: Annotated[Number, Field(gt=0, le=1e38)] | None = Field(
        None, description="Maximum global gradient norm."
    )
    loss: Annotated[str, PartOf(LOSSES, LOSS)] = Field(
        "cross_entropy", description="Loss of each head; bce = binary cross-entropy with one-hot targets."
    )
    loss_kwargs: Kwargs = Field(FrozenDict(), description="Keyword arguments of a loss of your own, see extend.md.")
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.0, description="Label smoothing: the fraction of each label spread over all classes, in training only."
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced = weight classes inversely to their frequency in the training clips, in training only.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto = bf16 on GPUs that support it, else fp32."
    )
    compile: bool = Field(
        False, description="Use torch.compile; without a C++ compiler the run logs a warning and continues without it."
    )

    @property
    def head_groups(self) -> tuple[str, ...]:
        """The names of the groups of heads, one or several."""
        mode = self.classification_mode
        return (mode,) if isinstance(mode, str) else mode
