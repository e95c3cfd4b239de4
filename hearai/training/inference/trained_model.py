"""A trained model and everything needed to use it: the `best` folder of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from hearai.config.config import Config, build_config, dataset_folders
from hearai.config.model_parts.code_folder import note_code
from hearai.config.overrides import override
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.load import Data
from hearai.data.annotations.metadata import class_names
from hearai.errors import ConfigError
from hearai.models.model import SignModel, build_model
from hearai.models.weights import load_weights
from hearai.training.inference.class_matching import ModelClasses, match_classes
from hearai.training.inference.reliability import Reliability
from hearai.training.outputs.layout import BEST, STATE
from hearai.training.outputs.saved_state import load_best


@dataclass(frozen=True)
class TrainedModel:
    """The best model of a run."""

    folder: Path
    """The `best` folder."""
    model: SignModel
    config: Config
    num_class: Mapping[str, int]
    """{head: classes}"""
    class_names: Mapping[str, Mapping[int, str]]
    """{head: {class: its name}}, as far as lists name them."""
    train_counts: Mapping[str, Sequence[int]]
    """{head: training clips of each class}; empty for older runs."""
    fingerprints: Mapping[str, str]
    """Fingerprints of the dataset that it was trained on, for `is_same_dataset`; fewer for older runs."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Those of its epoch; empty for older runs."""
    reliability: Reliability | None = None
    """When not to believe it; None where it was not measured: trials of a search, older runs."""
    trained_clips_N2: Tensor | None = None
    """Digests of the clips that it was trained on, see `hearai.training.outputs.trained_clips`; None for older runs."""

    @property
    def classes(self) -> ModelClasses:
        """Its classes, to compare them with those of other data."""
        return ModelClasses(self.num_class, self.class_names)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def find_best(folder: str | Path) -> Path:
    """The `best` folder, given that folder, its run or its study.

    Raises:
        ConfigError: there is none.
    """
    folder = Path(folder)
    for candidate in (folder, folder / BEST):
        if (candidate / STATE).is_file():
            return candidate
    found = "no such folder" if not folder.is_dir() else f"holds neither {STATE} nor {BEST}/{STATE}"
    raise ConfigError(f"{folder}: {found}; give the `{BEST}` folder of a run, the run, or its study")


def load_trained(folder: str | Path, device: torch.device) -> TrainedModel:
    """The model of a `best` folder, in eval mode; needs nothing else, not even published weights.

    Raises:
        ConfigError: no such checkpoint, one of an unfinished run, or weights of another architecture.
    """
    content = load_best(folder)
    config = build_config(content.config, f"{folder}: config")
    if set(content.num_class) != set(config.active_heads):
        raise ConfigError(
            f"{folder}: holds classes of the heads {', '.join(content.num_class)}, but its config has "
            f"{', '.join(config.active_heads)}; give the `{BEST}` folder of a run"
        )
    if content.code:
        note_code(content.code.model_dump(), folder)
    random = override(config, {"feature_extractor.checkpoint": None, "feature_extractor.pretrained": False})
    try:
        model = build_model(random, content.num_class)
    except ConfigError as error:
        trained = f" (it was trained with --code {content.code.path})" if content.code else ""
        raise ConfigError([f"{folder}: {problem}{trained}" for problem in error.problems]) from None
    try:
        load_weights(model, content.model)
    except ValueError as problem:
        raise ConfigError(
            f"{folder}: the weights do not fit the config beside them ({problem}); give the `{BEST}` folder of a run"
        ) from None
    return TrainedModel(
        folder=Path(folder),
        model=model.to(device).eval(),
        config=config,
        num_class=content.num_class,
        class_names=content.class_names or class_names({}, content.num_class),
        train_counts=content.train_counts,
        fingerprints=content.fingerprints,
        metrics=content.metrics,
        reliability=Reliability.of_content(content.reliability) if content.reliability else None,
        trained_clips_N2=content.trained_clips,
    )


def require_dataset(trained: TrainedModel) -> None:
    """Refuses a model whose own dataset is needed, but gone.

    Raises:
        ConfigError: it is.
    """
    if gone := [str(folder) for folder in dataset_folders(trained.config) if not folder.is_dir()]:
        raise ConfigError(
            f"{trained.folder}: the dataset that it was trained on is gone ({', '.join(gone)}); give the folder that "
            "it is in now, or a copy (--data-path)"
        )


def check_classes(trained: TrainedModel, data: Data) -> None:
    """Refuses data with classes that the model was not built for, or whose numbers mean other classes.

    Raises:
        ConfigError: every head with such classes; or every clash of the class lists, unless it is the data that the
            model was trained on, whose labels are the same whatever its lists say now.
    """
    problems = [
        f"{trained.folder}: the model has {known} classes of {head}, the data {data.num_class[head]}; "
        "give the data that it was trained on"
        for head, known in trained.num_class.items()
        if data.num_class[head] > known
    ]
    if problems:
        raise ConfigError(problems)
    if not is_same_dataset(trained.fingerprints, data.fingerprints.as_dict()):
        match_classes(data.clips, data.class_lists, trained.classes)
