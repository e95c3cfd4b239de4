"""One run outside a search, as `train.py` makes it: its folder and its steps."""

from pathlib import Path

import torch

from hearai.config.config import Config
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import Data
from hearai.errors import ConfigError
from hearai.training.fit import FitResult, fit
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.outputs.layout import BACKBONE_FILE, BEST, LAST
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.pretrain import ensure_backbone

DEFAULT_PARENT = Path("runs")


def run_folder(config: Config, stamp: str) -> Path:
    """`path_to_save`; the parent of a `.pth` path; unset = `runs/train-<stamp>`."""
    path = config.general_parameters.path_to_save
    if path is None:
        return DEFAULT_PARENT / f"train-{stamp}"
    return Path(path).parent / Path(path).stem if path.endswith(".pth") else Path(path)


def run_single(config: Config, folder: Path, *, resume: bool = False) -> FitResult:
    """`fit` in this process.

    Raises:
        ConfigError: the folder holds an earlier run and `resume` is not given.
    """
    if (folder / LAST).exists() and not resume:
        raise ConfigError(f"{folder}: already holds a run; give --resume, or another general_parameters.path_to_save")
    device = choose_device(config.general_parameters.gpu)
    return fit(config, LocalRuntime(device, folder, resume=resume))


def pretrain_only(config: Config, data: Data, folder: Path) -> Path:
    """`pre_training: true`: trains the extractor with the heads on single frames; returns the backbone file."""
    train = config.train_parameters
    settings = Pretrain(epochs=train.epochs, lr=train.lr, batch_size=max(2, train.batch_size))
    ensure_backbone(config, data, settings, folder / BACKBONE_FILE)
    return folder / BACKBONE_FILE


def weights_file(config: Config, folder: Path) -> Path | None:
    """Writes the best epoch's weights to `path_to_save` if that ends in `.pth`; else None."""
    path = config.general_parameters.path_to_save
    if path is None or not path.endswith(".pth"):
        return None
    torch.save(load_checkpoint(folder / BEST)["model"], path)
    return Path(path)
