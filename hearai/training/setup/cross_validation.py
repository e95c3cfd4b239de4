"""One config on several divisions of the clips: one run after another, reported as one.

A config that loses on the first division is stopped there, before it costs the others: racing, as in Lopez-Ibanez et
al., "The irace package", 2016. The test clips are the same in all of them.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.training.fit import FitResult
from hearai.training.outputs.layout import BACKBONE_FILE, backbone_file, run_folders

Report = Callable[[Mapping[str, float]], dict[str, float]]
"""Turns the metrics of a run's epoch into those of the whole trial."""


def fold_config(config: Config, fold: int) -> Config:
    """The config on another division; a backbone that was pre-trained for the study is that of the fold."""
    checkpoint = config.feature_extractor.checkpoint
    own = Path(checkpoint).with_name(backbone_file(fold)) if checkpoint else None
    changes = {"general_parameters.fold": fold}
    if own is not None and Path(checkpoint).name == BACKBONE_FILE and own.is_file():
        changes["feature_extractor.checkpoint"] = str(own)
    return override(config, changes)


def split_configs(config: Config, splits: int) -> list[Config]:
    """The config on each of the divisions that a trial is scored on; of one division, as it is."""
    return [config] if splits == 1 else [fold_config(config, fold) for fold in range(splits)]


def fit_splits(config: Config, trial: Path, splits: int, run: Callable[[Config, Path, Report], FitResult]) -> FitResult:
    """Runs the config on each split; the result of the whole: the mean of the best scores.

    run: fits a config in a folder, and passes each epoch's metrics through the given function before it reports them.
    """
    done: list[FitResult] = []
    for own, folder in zip(split_configs(config, splits), run_folders(trial, splits), strict=True):

        def whole(metrics: Mapping[str, float]) -> dict[str, float]:
            return combined(metrics, done, splits)

        done.append(run(own, folder, whole))
        if done[-1].diverged:
            break
    return replace(
        done[-1],
        best=statistics.fmean(result.best for result in done),
        best_epoch=mean_epoch([result.best_epoch for result in done]),
        epochs=sum(result.epochs for result in done),
        seconds=sum(result.seconds for result in done),
    )


def combined(metrics: Mapping[str, float], done: Sequence[FitResult], splits: int) -> dict[str, float]:
    """The report of a trial after an epoch of its split number `len(done)`.

    Epochs are counted over all splits; the objective is the mean of the best scores of the splits that have begun.
    """
    if splits == 1:
        return dict(metrics)
    return {
        **metrics,
        "epoch": metrics["epoch"] + sum(result.epochs for result in done),
        "epochs": metrics["epochs"] * splits,
        "objective": statistics.fmean([*(result.best for result in done), metrics["objective"]]),
        "best_epoch": mean_epoch([*(result.best_epoch for result in done), int(metrics["best_epoch"])]),
        "seconds": metrics["seconds"] + sum(result.seconds for result in done),
    }


def mean_epoch(epochs: Sequence[int]) -> int:
    """What the splits' best epochs come to."""
    return round(statistics.fmean(epochs))
