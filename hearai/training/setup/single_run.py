"""One run outside a search, as `train.py` makes it: its folder and its steps."""

import logging
from pathlib import Path

from hearai.config.config import Config
from hearai.config.study_schema import Pretrain
from hearai.data.annotations.load import Data
from hearai.errors import ConfigError
from hearai.training.fit import FitResult, fit, result_of
from hearai.training.outputs.checkpoint import save_tensors
from hearai.training.outputs.layout import BACKBONE_FILE, BEST, LAST, holds_checkpoint
from hearai.training.outputs.run_lock import run_lock
from hearai.training.outputs.saved_state import load_best, load_last
from hearai.training.run_state import RunState
from hearai.training.runtime import LocalRuntime, choose_device
from hearai.training.setup.backbone_cache import ensure_backbone
from hearai.training.setup.part_checks import check_own_parts
from hearai.training.setup.prepare import with_data, with_weights
from hearai.training.setup.resume import check_same_run, stored_run, with_unstated_values
from hearai.training.setup.starting_weights import clips_seen_before

log = logging.getLogger(__name__)


def prepare_run(config: Config, folder: Path, *, resume: bool = False) -> tuple[Config, Data]:
    """The config with its data and weights decided, and its clips; nothing has been written.

    Raises:
        ConfigError: the folder holds an earlier run and `resume` is not given; or it is not a run of this config and
            dataset, with each difference; or a part of the user's own breaks its promises.
        DataError: every problem of the dataset.
    """
    pre_training = config.train_parameters.pre_training  # writes a backbone, and no run
    if resume and config.general_parameters.path_to_save is None:
        raise ConfigError("--resume: which run? Give its folder: --set general_parameters.path_to_save=DIR")
    if not (resume or pre_training):
        require_no_run(folder)
    stored = stored_run(folder) if resume and not pre_training else None
    if resume and not stored:
        log.warning("%s: holds no run to resume; training starts with epoch 1", folder)
    if stored:
        config = with_unstated_values(config, stored[0])
    check_own_parts([config])
    config, data = with_data(config)
    config = with_weights(config, pretraining_follows=pre_training)
    clips_seen_before(config, [data])
    if stored:
        check_same_run(config, data, *stored, folder)
    return config, data


def require_no_run(folder: Path) -> None:
    """Refuses a folder that holds an earlier run.

    Raises:
        ConfigError: it does.
    """
    if (folder / LAST).exists():
        raise ConfigError(f"{folder}: already holds a run; give --resume, or another general_parameters.path_to_save")


def run_single(config: Config, folder: Path, *, resume: bool = False) -> FitResult:
    """`fit` in this process, of a config from `prepare_run`.

    Raises:
        ConfigError: another process trains in the folder, or has done so since `prepare_run`.
    """
    device = choose_device(config.general_parameters.gpu)
    with run_lock(folder):
        if not resume:
            require_no_run(folder)
        return fit(config, LocalRuntime(device, folder, resume=resume))


def read_result(folder: Path) -> FitResult:
    """The result of a run that other processes have trained.

    Raises:
        ConfigError: the folder holds no run.
    """
    return result_of(RunState(**load_last(folder / LAST)[0]["progress"]))


def pretrain_only(config: Config, data: Data, folder: Path) -> Path:
    """`pre_training: true`: trains the extractor with the heads on single frames; returns the backbone file."""
    train = config.train_parameters
    settings = Pretrain(epochs=train.epochs, lr=train.lr, batch_size=max(2, train.batch_size))
    ensure_backbone(config, data, settings, folder / BACKBONE_FILE)
    return folder / BACKBONE_FILE


def weights_file(config: Config, folder: Path) -> Path | None:
    """Writes the best epoch's weights to `path_to_save` if that ends in `.pth` and there is one; else None."""
    path = config.general_parameters.path_to_save
    if path is None or not path.endswith(".pth") or not holds_checkpoint(folder / BEST):
        return None
    save_tensors(Path(path), load_best(folder / BEST).model)
    return Path(path)
