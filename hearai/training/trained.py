"""A trained model and all that is needed to use it: the `best` folder of a run. N clips, K classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hearai.config import Config, build_config
from hearai.data.annotations import Clip
from hearai.data.class_names import class_names
from hearai.data.folders import Data
from hearai.data.prints import KINDS
from hearai.errors import ConfigError
from hearai.hamnosys import MISSING
from hearai.models.model import SignModel, build_model
from hearai.overrides import override
from hearai.training.checkpoint import BEST, STATE, load_checkpoint

DUE = {"model": dict, "config": dict, "num_class": dict}
"""What a `best` folder must hold. All else may be missing in older ones."""


@dataclass(frozen=True)
class Trained:
    """The best model of a run."""

    folder: Path
    """The `best` folder."""
    model: SignModel
    config: Config
    num_class: Mapping[str, int]
    """{head: classes}"""
    class_names: Mapping[str, Mapping[int, str]]
    """{head: {class: its meaning in words}}, as far as lists name them."""
    train_counts: Mapping[str, Sequence[int]]
    """{head: clips of each class that the model was trained on}; empty where an older run did not note it."""
    prints: Mapping[str, str]
    """What the dataset that it was trained on is known by, for `is_same`; an older run noted less."""

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


def facts_of(data: Data) -> dict:
    """What a `best` folder says of the dataset, in plain types; `load_trained` reads it."""
    return {
        "num_class": dict(data.num_class),
        "class_names": {head: dict(names) for head, names in data.class_names.items()},
        "train_counts": {head: class_counts(data.split.train, head, size) for head, size in data.num_class.items()},
        **data.prints.known(),
    }


def class_counts(clips: Iterable[Clip], head: str, num_class: int) -> list[int]:
    """How many clips each class of a head has."""
    counts = [0] * num_class
    for clip in clips:
        if clip.labels[head] != MISSING:
            counts[clip.labels[head]] += 1
    return counts


def find_best(folder: str | Path) -> Path:
    """The `best` folder that a user means who names it, its run, or its study.

    Raises:
        ConfigError: there is none.
    """
    folder = Path(folder)
    for place in (folder, folder / BEST):
        if (place / STATE).is_file():
            return place
    found = "no such folder" if not folder.is_dir() else f"holds neither {STATE} nor {BEST}/{STATE}"
    raise ConfigError(f"--checkpoint {folder}: {found}; give the `{BEST}` folder of a run, the run, or its study")


def load_trained(folder: str | Path, device: torch.device) -> Trained:
    """The model of a `best` folder, in eval mode; nothing else is needed, published weights neither.

    Raises:
        ConfigError: no such checkpoint, one that is not of a finished run, or of another architecture.
    """
    state = load_checkpoint(folder)
    if missing := [name for name, kind in DUE.items() if not isinstance(state.get(name), kind)]:
        raise ConfigError(f"{folder}: lacks {', '.join(missing)}; give the `{BEST}` folder of a run")
    try:
        config = build_config(state["config"], f"{folder}: config")
        bare = override(config, {"feature_extractor.checkpoint": None, "feature_extractor.pretrained": False})
        model = build_model(bare, state["num_class"])
        model.load_state_dict(state["model"])
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f"{folder}: the weights do not fit the config beside them ({reason})") from None
    return Trained(
        folder=Path(folder),
        model=model.to(device).eval(),
        config=config,
        num_class=state["num_class"],
        class_names=state.get("class_names") or class_names({}, state["num_class"]),
        train_counts=state.get("train_counts", {}),
        prints={kind: state[kind] for kind in KINDS if kind in state},
    )


def check_classes(trained: Trained, data: Data) -> None:
    """Refuses data with classes that the model was not built for.

    Raises:
        ConfigError: every head that has such classes.
    """
    problems = [
        f"{trained.folder}: the model has {known} classes of {head}, the data {data.num_class[head]}; give its own data"
        for head, known in trained.num_class.items()
        if data.num_class[head] > known
    ]
    if problems:
        raise ConfigError(problems)


def labels_of(clips: Sequence[Clip], heads: Iterable[str]) -> dict[str, Tensor]:
    """{head: labels (N,)}, class or MISSING."""
    return {head: torch.tensor([clip.labels[head] for clip in clips]) for head in heads}
