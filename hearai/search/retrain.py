"""Trains the winner once more, on training and validation clips: the model to use, without a score of its own.

It trains for as many epochs as its runs needed to reach their best one (the median over the finals), with the schedules
of a full run: with the validation clips in the training set, the best epoch cannot be selected. It is not scored on the
test clips, which were used once, for the config. A pre-trained backbone has only seen the training clips.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

from optuna.trial import TrialState

from hearai.cli import Print
from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.files import atomic_write_text
from hearai.search.storage.attributes import BEST_EPOCH, SOURCE
from hearai.search.storage.layout import FINAL_CONFIG, FINAL_RUN
from hearai.search.storage.study_folder import portable_yaml
from hearai.search.storage.trial_store import TrialStore
from hearai.training.fit import fit
from hearai.training.outputs.layout import BEST, holds_checkpoint
from hearai.training.outputs.saved_state import load_best
from hearai.training.runtime import LocalRuntime, choose_device

Train = Callable[[Config, Path, bool], None]
"""(config, run folder, whether to resume): trains the config into the folder."""


def train_here(config: Config, run: Path, resume: bool) -> None:
    """Trains in this process; see `hearai.search.cluster.node_checks.NodeTrainer` for other nodes."""
    fit(config, LocalRuntime(choose_device(config.general_parameters.gpu), run, resume=resume))


def retrain_winner(
    study: Study,
    search: TrialStore,
    finals: TrialStore,
    folder: Path,
    number: int,
    print_line: Print,
    train: Train = train_here,
) -> None:
    """Trains the winner, trial `number`, into `final/` and writes `final.yaml`; resumes an interrupted training."""
    epochs = epochs_to_train(search, finals, number)
    config = override(
        study.config_of(search[number].params, study.settings.seed),
        {
            "general_parameters.train_on_validation": True,
            "train_parameters.stop_after_epoch": epochs,
        },
    )
    run, path = folder / FINAL_RUN, folder / FINAL_CONFIG
    text = portable_yaml(config, path, folder)
    is_same = path.exists() and path.read_text(encoding="utf-8", errors="replace") == text
    if is_same and _is_complete(run):
        return
    print_line(f"retraining trial {number} on training and validation clips: {epochs} epochs")
    atomic_write_text(path, text)
    train(config, run, is_same)


def epochs_to_train(search: TrialStore, finals: TrialStore, number: int) -> int:
    """The median of the best epochs of the trial's finals; without finals, its own best epoch."""
    runs = [trial for trial in finals.trials(TrialState.COMPLETE) if trial.user_attrs[SOURCE] == number]
    return max(1, round(statistics.median(trial.user_attrs[BEST_EPOCH] for trial in runs or [search[number]])))


def _is_complete(run: Path) -> bool:
    if not holds_checkpoint(run / BEST):
        return False
    metrics = load_best(run / BEST).metrics
    return "epoch" in metrics and metrics["epoch"] == metrics.get("epochs")
