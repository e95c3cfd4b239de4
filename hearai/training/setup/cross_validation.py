"""One config on several folds: one run after another, reported as one.

A config that performs poorly on the first fold is stopped there, before the other folds cost anything: racing, as in
Lopez-Ibanez et al., "The irace package", 2016. The test clips are the same in all folds.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.training.fit import FitResult, fit
from hearai.training.outputs.layout import BACKBONE_FILE, backbone_file, run_folders
from hearai.training.runtime import Runtime


def fold_config(config: Config, fold: int) -> Config:
    """The config on another fold; a backbone that was pre-trained for the study becomes that of the fold."""
    changes: dict[str, int | str] = {"general_parameters.fold": fold}
    if checkpoint := config.feature_extractor.checkpoint:
        backbone = Path(checkpoint).with_name(backbone_file(fold))
        if Path(checkpoint).name == BACKBONE_FILE and backbone.is_file():
            changes["feature_extractor.checkpoint"] = str(backbone)
    return override(config, changes)


def fold_configs(config: Config, folds: int) -> list[Config]:
    """The config on each fold that a trial is scored on; with one fold, the config as it is."""
    return [config] if folds == 1 else [fold_config(config, fold) for fold in range(folds)]


class FoldProgress:
    """Results of a trial's finished folds; merges the metrics of the current fold into those of the trial.

    Epochs and seconds are summed over the folds; the objective is the mean of the best scores of the folds so far.
    """

    def __init__(self, folds: int, reported: int = 0):
        """reported: epochs of the trial that earlier attempts have reported."""
        self._folds, self._reported = folds, reported
        self._results: list[FitResult] = []

    def add(self, result: FitResult) -> None:
        """The current fold has ended."""
        self._results.append(result)

    def merge(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """What the trial reports after an epoch of the current fold."""
        if self._folds == 1:
            return dict(metrics)
        done = self._results
        return {
            **metrics,
            "epoch": metrics["epoch"] + sum(result.epochs for result in done),
            "epochs": metrics["epochs"] * self._folds,
            "objective": statistics.fmean([*(result.best for result in done), metrics["objective"]]),
            "best_epoch": mean_epoch([*(result.best_epoch for result in done), int(metrics["best_epoch"])]),
            "seconds": metrics["seconds"] + sum(result.seconds for result in done),
        }

    def missing(self, history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
        """What the trial reports after those epochs of the current fold that no attempt has reported."""
        return [merged for metrics in history if (merged := self.merge(metrics))["epoch"] > self._reported]

    def result(self) -> FitResult:
        """The result of the trial; at least one fold has ended."""
        done = self._results
        return replace(
            done[-1],
            best=statistics.fmean(result.best for result in done),
            best_epoch=mean_epoch([result.best_epoch for result in done]),
            epochs=sum(result.epochs for result in done),
            seconds=sum(result.seconds for result in done),
        )


def fit_folds(
    config: Config,
    trial: Path,
    folds: int,
    build_runtime: Callable[[Path, FoldProgress], Runtime],
    *,
    reported: int = 0,
) -> FitResult:
    """Runs the config on each fold until one diverges.

    Args:
        build_runtime: the runtime of a fold's run in its folder, which merges the metrics of each epoch into the
            progress before it reports them.
        reported: epochs of the trial that earlier attempts have reported.
    """
    progress = FoldProgress(folds, reported)
    for fold, folder in zip(fold_configs(config, folds), run_folders(trial, folds), strict=True):
        result = fit(fold, build_runtime(folder, progress))
        progress.add(result)
        if result.diverged:
            break
    return progress.result()


def mean_epoch(epochs: Sequence[int]) -> int:
    """Mean of the folds' best epochs, rounded."""
    return round(statistics.fmean(epochs))
