"""A trained model and all that is needed to use it: the `best` folder of a run. N clips, K classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from hearai.config.config import Config, build_config
from hearai.config.overrides import override
from hearai.data.annotations.fingerprint import KINDS
from hearai.data.annotations.load import Data
from hearai.data.annotations.metadata import class_names
from hearai.errors import ConfigError
from hearai.models.model import SignModel, build_model
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.outputs.layout import BEST, STATE

DUE = {"model": dict, "config": dict, "num_class": dict}
"""What a `best` folder must hold. All else may be missing in older ones."""


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
    """{head: {class: its meaning in words}}, as far as lists name them."""
    train_counts: Mapping[str, Sequence[int]]
    """{head: clips of each class that the model was trained on}; empty where an older run did not note it."""
    prints: Mapping[str, str]
    """What the dataset that it was trained on is known by, for `is_same`; an older run noted less."""

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device


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


def load_trained(folder: str | Path, device: torch.device) -> TrainedModel:
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
    return TrainedModel(
        folder=Path(folder),
        model=model.to(device).eval(),
        config=config,
        num_class=state["num_class"],
        class_names=state.get("class_names") or class_names({}, state["num_class"]),
        train_counts=state.get("train_counts", {}),
        prints={kind: state[kind] for kind in KINDS if kind in state},
    )


def check_classes(trained: TrainedModel, data: Data) -> None:
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
