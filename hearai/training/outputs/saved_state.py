"""What the checkpoints of a run hold, checked when they are read: files may be damaged, or made by others.

H heads, K classes, W workers, G bytes of generator states.
"""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from torch import Tensor

from hearai.config.validation import explain
from hearai.data.annotations.fingerprint import FINGERPRINT_KINDS
from hearai.errors import ConfigError
from hearai.models.pretrained.clip_table import is_clip_table
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.outputs.layout import BEST, LAST, STATE

MOST_PROBLEMS = 5
"""Of one checkpoint, in its message."""

START_AGAIN = f"delete the `{LAST}` folder to start again from epoch 1, or give another folder"

Count = Annotated[int, Field(ge=0)]
Names = dict[int, str]
"""{class: its name}"""


class _Content(BaseModel):
    """Keys that are not named may be there: newer code, and users, may add some."""

    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False, protected_namespaces=())


class CodeContent(_Content):
    """The folder with the code of parts of the user's own."""

    path: str
    sha256: str


class _DatasetContent(_Content):
    """What identifies the dataset of a run, and the user's own code; older checkpoints lack it."""

    fingerprint: str | None = None
    content: str | None = None
    renamed_copy: str | None = None
    trained_clips: Tensor | None = None
    """See `hearai.training.outputs.trained_clips`."""
    class_names: dict[str, Names] | None = None
    code: CodeContent | None = None

    @field_validator("trained_clips")
    @classmethod
    def _has_two_columns(cls, clips_N2: Tensor | None) -> Tensor | None:
        if clips_N2 is not None and not is_clip_table(clips_N2):
            raise ValueError(f"{clips_N2.dtype} of shape {tuple(clips_N2.shape)}, expected two int64 digests per clip")
        return clips_N2

    @property
    def fingerprints(self) -> dict[str, str]:
        """As `is_same_dataset` takes them."""
        known = {kind: getattr(self, kind) for kind in FINGERPRINT_KINDS}
        return {kind: value for kind, value in known.items() if value is not None}


Content = TypeVar("Content", bound=_Content)


class ReliabilityContent(_Content):
    """What says when a model should not be believed, see `hearai.training.inference.reliability`."""

    temperatures: dict[str, Annotated[float, Field(gt=0)]]
    vectors: Tensor
    limit: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _has_vectors(self) -> "ReliabilityContent":
        if self.vectors.ndim != 2 or not len(self.vectors) or not self.vectors.is_floating_point():
            raise ValueError(f"vectors: shape {tuple(self.vectors.shape)}, expected one row of numbers per clip")
        return self


class BestContent(_DatasetContent):
    """A `best` folder: a model and everything needed to use it. Older ones lack the keys with defaults."""

    model: dict[str, Tensor]
    config: dict[str, Any]
    num_class: Annotated[dict[str, Annotated[int, Field(ge=1)]], Field(min_length=1)]
    train_counts: dict[str, list[Count]] = {}
    metrics: dict[str, float] = {}
    reliability: ReliabilityContent | None = None

    @model_validator(mode="after")
    def _heads_agree(self) -> "BestContent":
        for head, counts in self.train_counts.items():
            if len(counts) != self.num_class.get(head):
                raise ValueError(f"train_counts.{head}: {len(counts)} counts for {self.num_class.get(head)} classes")
        if unknown := [head for head in self.class_names or {} if head not in self.num_class]:
            raise ValueError(f"class_names: names of {unknown[0]!r}, which is not one of the heads")
        return self


class ProgressContent(_Content):
    """The fields of `RunState`. Older checkpoints lack the keys with defaults."""

    model_config = ConfigDict(extra="forbid")

    epoch: Count
    best: float
    best_epoch: Count
    diverged: bool
    divergence: str = ""
    remedy: str = ""
    seconds: Annotated[float, Field(ge=0)] = 0.0
    history: list[dict[str, float]]
    best_weights: dict[str, Tensor] = {}
    best_confusions: dict[str, Tensor] = {}
    costs: dict[str, float] = {}
    run_id: str = "?"

    @model_validator(mode="after")
    def _epochs_agree(self) -> "ProgressContent":
        if len(self.history) != self.epoch:
            raise ValueError(f"history: metrics of {len(self.history)} epochs, but epoch is {self.epoch}")
        if self.best_epoch > self.epoch:
            raise ValueError(f"best_epoch: {self.best_epoch}, but epoch is {self.epoch}")
        return self


class PartialContent(_Content):
    """The fields of `PartialEpoch`."""

    model_config = ConfigDict(extra="forbid")

    steps: Annotated[int, Field(ge=1)]
    sums_2H: Tensor
    generators_WG: Tensor


class OptimizerContent(_Content):
    """The state dict of an optimizer."""

    state: dict[int, dict[str, Tensor | None]]
    param_groups: Annotated[list[dict[str, Any]], Field(min_length=1)]


class LastContent(_DatasetContent):
    """A `last` folder: the state from which a run is resumed."""

    model: dict[str, Tensor]
    optimizer: OptimizerContent
    config: dict[str, Any] | None = None
    backbone: str | None
    begun: PartialContent | None = None
    progress: ProgressContent


def load_best(folder: str | Path) -> BestContent:
    """What a `best` folder holds.

    Raises:
        ConfigError: no checkpoint, or one with other content; lists what is wrong with it.
    """
    state = load_checkpoint(folder)
    if missing := [name for name in ("model", "config", "num_class") if name not in state]:
        raise ConfigError(f"{folder}: lacks {', '.join(missing)}; give the `{BEST}` folder of a run")
    return _checked(BestContent, state, Path(folder) / STATE, f"give the `{BEST}` folder of a run")


def load_last(folder: str | Path, remedy: str = START_AGAIN) -> tuple[dict[str, Any], LastContent]:
    """The state in a `last` folder as it was saved, and its checked content.

    Args:
        remedy: what the message advises.

    Raises:
        ConfigError: no checkpoint, or one with other content; lists what is wrong with it.
    """
    state = load_checkpoint(folder)
    return state, _checked(LastContent, state, Path(folder) / STATE, remedy)


def _checked(kind: type[Content], state: dict[str, Any], path: Path, remedy: str) -> Content:
    try:
        return kind.model_validate(state)
    except ValidationError as error:
        problems = [_shortened(problem) for problem in explain(error, kind)]
    more = f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
    found = "; ".join(problems[:MOST_PROBLEMS]) + more
    raise ConfigError(f"{path}: is not the checkpoint of a run ({found})" + (remedy and f"; {remedy}"))


def _shortened(text: str, limit: int = 160) -> str:
    """One line, without the content of large values."""
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[-limit // 3 :]}"
