"""Scores a trained model on labelled clips: the test clips of its own data, or another dataset."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearai.config.config import Config
from hearai.config.overrides import override
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.load import Data, load_data, unsplit_data
from hearai.errors import ConfigError
from hearai.training.batches import eval_batches
from hearai.training.evaluation import evaluate
from hearai.training.feature_cache import load_or_compute, shares_features
from hearai.training.inference.predict import predict_clips
from hearai.training.inference.trained_model import TrainedModel, check_classes, load_trained
from hearai.training.runtime import Runtime
from hearai.training.scores import HeadScores, labels_of, score_heads
from hearai.training.setup.prepare import check_files

ALL_CLIPS = "all"
"""All clips of the data, whatever their split."""


@dataclass(frozen=True)
class Assessment:
    """Scores of a trained model on some clips."""

    checkpoint: Path
    data_path: Sequence[str]
    split: str
    """"train", "val", "test", or "all"."""
    clips: int
    heads: Mapping[str, HeadScores]
    class_names: Mapping[str, Mapping[int, str]]

    @property
    def macro_f1(self) -> float:
        """Mean over the heads."""
        return statistics.fmean(scores.macro_f1 for scores in self.heads.values())

    @property
    def majority_macro_f1(self) -> float | None:
        """Mean over the heads; None where the majority class of a head is unknown."""
        baselines = [scores.majority for scores in self.heads.values() if scores.majority is not None]
        return statistics.fmean(one.macro_f1 for one in baselines) if len(baselines) == len(self.heads) else None


def assess(trained: TrainedModel, data_path: Sequence[str] = (), split: str | None = None) -> Assessment:
    """Predicts and scores the clips of `split`; None = the test clips of the model's own data, all clips of other data.

    A moved folder or a copy of its own data is recognised.

    Raises:
        ConfigError: no clips, no labels, or classes that the model was not built for.
        DataError: all problems of the folders.
    """
    config = trained.config
    if data_path:
        config = override(config, {"general_parameters.data_path": list(data_path)})
    data = unsplit_data(config)
    if not data_path or is_same_dataset(trained.fingerprints, data.fingerprints.as_dict()):
        data = load_data(config)
        split = split or "test"
    elif split not in (None, ALL_CLIPS):
        raise ConfigError(
            f"--split {split}: {', '.join(data_path)} is not the data that the model was trained on, and has no such "
            f"split; omit --split, or give {ALL_CLIPS}"
        )
    split = split or ALL_CLIPS
    clips = data.clips if split == ALL_CLIPS else getattr(data.split, split)
    if not clips:
        raise ConfigError(f"{trained.folder}: the {split} split is empty; give another --split")
    check_classes(trained, data)
    check_files(config, clips)
    heads = score_heads(predict_clips(trained, clips), labels_of(clips, trained.num_class), trained.train_counts)
    if not heads:
        raise ConfigError(f"{trained.folder}: none of the {len(clips)} clips has a label; nothing to score")
    return Assessment(trained.folder, _folders(config), split, len(clips), heads, _class_names(trained, data))


def _folders(config: Config) -> list[str]:
    folders = config.general_parameters.data_path or ()
    return [folder if isinstance(folder, str) else folder.path for folder in folders]


def _class_names(trained: TrainedModel, data: Data) -> dict[str, dict[int, str]]:
    """The names in the data, overridden by those that the model was trained with."""
    heads = trained.num_class
    return {head: {**data.class_names.get(head, {}), **trained.class_names.get(head, {})} for head in heads}


def score_split(
    checkpoint: str | Path, runtime: Runtime, *, split: str = "test", data_path: Sequence[str] = ()
) -> dict[str, Any]:
    """Scores of a run's `best` folder on a split ("train", "val" or "test") of its own data, or of `data_path`.

    Returns {"objective", "mean_macro_f1", "mean_accuracy", "loss", "clips", "heads": {head: {"accuracy", "macro_f1"}}};
    the objective is the mean over the heads of `train_parameters.objective_heads`, "mean_macro_f1" over all heads.

    Raises:
        ConfigError: no such checkpoint; or an empty split, or classes that the model was not built for.
    """
    trained = load_trained(checkpoint, runtime.device)
    config = trained.config
    if data_path:
        config = override(config, {"general_parameters.data_path": list(data_path)})
    data = load_data(config)
    clips = getattr(data.split, split)
    if not clips:
        raise ConfigError(f"{checkpoint}: the {split} split is empty; give a config with such clips")
    check_classes(trained, data)
    features = None
    if shares_features(config, data):  # a frozen backbone, whose features other runs use too
        features = load_or_compute(config, data, clips, trained.model.feature_extractor, runtime.device)
    evaluation = evaluate(trained.model, eval_batches(config, clips, runtime, features), config, runtime)
    return {
        "objective": evaluation.score(config.train_parameters.objective_heads),
        "mean_macro_f1": evaluation.macro_f1,
        "mean_accuracy": evaluation.accuracy,
        "loss": evaluation.loss,
        "clips": len(clips),
        "heads": evaluation.heads,
    }
