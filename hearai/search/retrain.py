"""The winner once more, on training and validation clips: the model to use, whose score nobody knows.

It is trained for as many epochs as its runs needed for their best one (the median over the finals), with the schedules
of the whole run; no epoch can be chosen where validation clips are trained on. It is not scored on the test clips:
those answered once, for the config. A backbone that was pre-trained keeps what it learned of the training clips alone.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

from optuna.trial import TrialState

from hearai.cli import Print
from hearai.config.config import Config, to_yaml
from hearai.config.overrides import override
from hearai.config.study import Study
from hearai.files import write_whole
from hearai.search.finals import with_near_backbone
from hearai.search.storage.trial_store import TrialStore
from hearai.training.fit import fit
from hearai.training.outputs.checkpoint import load_checkpoint
from hearai.training.outputs.layout import BACKBONE_FILE, BEST, holds_checkpoint
from hearai.training.runtime import LocalRuntime, choose_device

FINAL = "final"
"""The run's folder in the study's."""


Train = Callable[[Config, Path, bool], None]
"""Trains a config into a folder; goes on with what is there if told so."""


def train_here(config: Config, run: Path, resume: bool) -> None:
    """In this process; see `hearai.search.cluster.node_checks.train_on` for another."""
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
    """Trains it into `final/`, with `final.yaml` beside; goes on where an earlier call was killed."""
    epochs = epochs_to_train(search, finals, number)
    config = override(
        study.config_of(search[number].params, study.settings.seed),
        {
            "general_parameters.train_on_validation": True,
            "train_parameters.stop_after_epoch": epochs,
        },
    )
    run = folder / FINAL
    text = to_yaml(with_near_backbone(config, folder, BACKBONE_FILE))
    known = folder / "final.yaml"
    same = known.exists() and known.read_text(encoding="utf-8", errors="replace") == text
    if same and _is_whole(run):
        return
    print_line(
        f"trial {number} once more, on training and validation clips: {config.train_parameters.stop_after_epoch} epochs"
    )
    write_whole(known, text)
    train(config, run, same)


def epochs_to_train(search: TrialStore, finals: TrialStore, number: int) -> int:
    """The median of the best epochs of the trial's final runs; without finals, its own best epoch."""
    again = [trial for trial in finals.trials(TrialState.COMPLETE) if trial.user_attrs["source"] == number]
    return max(1, round(statistics.median(trial.user_attrs["best_epoch"] for trial in again or [search[number]])))


def _is_whole(run: Path) -> bool:
    if not holds_checkpoint(run / BEST):
        return False
    metrics = load_checkpoint(run / BEST)["metrics"]
    return metrics["epoch"] == metrics["epochs"]
