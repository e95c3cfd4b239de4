"""Scores a trained model on labelled clips: the test clips of its own data, or another dataset."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from hearai.config.config import Config, dataset_paths
from hearai.config.overrides import override
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.load import Data, load_data
from hearai.errors import ConfigError
from hearai.metrics import SCORE, gap_remark
from hearai.sign.hamnosys import MISSING
from hearai.training.batches import eval_batches
from hearai.training.evaluation import evaluate
from hearai.training.features.feature_cache import load_or_compute, shares_features
from hearai.training.inference.calibration import calibrated, calibration_error
from hearai.training.inference.class_matching import ClassMatch, MatchBy
from hearai.training.inference.labelled_clips import (
    NO_CHANGES,
    TEST,
    LabelledClips,
    Unseen,
    choose_clips,
    find_unseen,
    labels_of_clips,
    match_labels,
    unseen_remarks,
)
from hearai.training.inference.predict import ClipOutputs, outputs_of_clips
from hearai.training.inference.reliability import Reliability
from hearai.training.inference.trained_model import TrainedModel, check_classes, load_trained
from hearai.training.runtime import Runtime
from hearai.training.scores import Evaluation, HeadScores, score_heads
from hearai.training.setup.prepare import check_files


@dataclass(frozen=True)
class Calibration:
    """How far the probabilities of a head are from its accuracy, on some clips."""

    error: float | None
    """The expected calibration error of the probabilities as trained, in [0, 1]."""
    calibrated_error: float | None
    """Of those that are shown; None where the head is not calibrated."""
    temperature: float | None


@dataclass(frozen=True)
class Assessment:
    """Scores of a trained model on some clips."""

    checkpoint: Path
    data_path: Sequence[str]
    chosen: LabelledClips
    """The clips that were scored, N of them."""
    outputs: ClipOutputs
    """Logits and vectors of the clips."""
    reliability: Reliability | None
    """When not to believe the model, as measured on its validation clips; None = not measured."""
    labels: Mapping[str, Tensor]
    """{head: (N,)}: class of the model, MISSING, or from K on a class that it does not have."""
    scored_labels: Mapping[str, Tensor]
    """The same; MISSING also where the label was left out."""
    heads: Mapping[str, HeadScores]
    class_names: Mapping[str, Mapping[int, str]]
    """{head: {class: name}}, also of the classes from K on."""
    unseen: Mapping[str, Unseen]
    """{head: labels of classes that the model does not know}, only heads with some."""
    skipped_unseen: bool
    """Whether these labels were left out; they count as wrong otherwise."""
    matched_by: MatchBy
    seed: int
    """Of the run that trained the model."""
    remarks: Sequence[str]
    """What the reader of the scores must know."""

    @cached_property
    def probabilities(self) -> dict[str, Tensor]:
        """{head: (N, K)}, calibrated where the model is."""
        return self.outputs.probabilities(self.reliability)

    @property
    def calibration(self) -> dict[str, Calibration]:
        """{head: its calibration on these clips}, of the heads with scores; labels that were left out do not count."""
        temperatures = self.reliability.temperatures if self.reliability else {}
        return {
            head: Calibration(
                calibration_error(calibrated(self.outputs.logits[head], 1.0), self.scored_labels[head]),
                calibration_error(self.probabilities[head], self.scored_labels[head]) if head in temperatures else None,
                temperatures.get(head),
            )
            for head in self.heads
        }

    @cached_property
    def distances(self) -> list[float] | None:
        """Of each clip to the nearest training clip, see `Reliability.distances`; None = not known."""
        return self.reliability.distances(self.outputs.vectors_ND) if self.reliability else None

    @property
    def split(self) -> str:
        """ "train", "val", "test", or "all"."""
        return self.chosen.split

    @property
    def clips(self) -> int:
        """Their number."""
        return len(self.chosen.clips)

    @property
    def macro_f1(self) -> float:
        """Mean over the heads."""
        return statistics.fmean(scores.macro_f1 for scores in self.heads.values())

    @property
    def majority_macro_f1(self) -> float | None:
        """Mean over the heads; None where the majority class of a head is unknown."""
        baselines = [scores.majority for scores in self.heads.values() if scores.majority is not None]
        return statistics.fmean(one.macro_f1 for one in baselines) if len(baselines) == len(self.heads) else None


def assess(
    trained: TrainedModel,
    data_path: Sequence[str] = (),
    split: str | None = None,
    *,
    match_by: MatchBy | None = None,
    skip_unseen: bool = False,
    reading: Mapping[str, Any] = NO_CHANGES,
) -> Assessment:
    """Predicts and scores the clips of `split`; None = the test clips of the model's own data, all clips of other data.

    A moved folder or a copy of its own data is recognised. A class that the model does not have counts as wrong.

    Args:
        match_by: how classes of the data and of the model are compared, see `match_classes`.
        skip_unseen: leave out the labels of classes that the model was not trained on.
        reading: see `choose_clips`.

    Raises:
        ConfigError: no clips, no labels, or numbers that mean other classes than the model's.
        DataError: all problems of the folders.
    """
    chosen = choose_clips(trained, data_path, split, reading)
    match = match_labels(trained, chosen, match_by, skip_unseen=skip_unseen, given=bool(data_path))
    labels = labels_of_clips(chosen.clips, match)
    masks, unseen = find_unseen(trained, labels, match, is_own=chosen.is_own)
    scored = {head: labels[head].masked_fill(mask_N & skip_unseen, MISSING) for head, mask_N in masks.items()}
    if not any((labels_N != MISSING).any() for labels_N in scored.values()):
        kind = " of a class that the model was trained on" if unseen else ""
        raise ConfigError(
            f"{trained.folder}: none of the {len(chosen.clips)} clips has a label{kind}; nothing to score"
        )
    check_files(trained.config, chosen.clips)
    outputs = outputs_of_clips(trained, chosen.clips)
    heads = score_heads(outputs.logits, scored, trained.train_counts)
    remarks = [*match.remarks, *unseen_remarks(unseen, skip_unseen), *chosen.remarks]
    return Assessment(
        checkpoint=trained.folder,
        data_path=list(data_path) or dataset_paths(trained.config),
        chosen=chosen,
        outputs=outputs,
        reliability=trained.reliability,
        labels=labels,
        scored_labels=scored,
        heads=heads,
        class_names=_class_names(trained, match),
        unseen=unseen,
        skipped_unseen=skip_unseen,
        matched_by=match_by or "numbers",
        seed=trained.config.general_parameters.seed,
        remarks=[*remarks, *_validation_gap(trained, chosen, heads)],
    )


def _validation_gap(trained: TrainedModel, chosen: LabelledClips, heads: Mapping[str, HeadScores]) -> list[str]:
    """A remark if the validation score of the saved epoch is far from this test score."""
    validation = trained.metrics.get(SCORE)
    if (
        chosen.split != TEST
        or trained.config.general_parameters.train_on_validation
        or not isinstance(validation, float)
    ):
        return []
    test = statistics.fmean(scores.macro_f1 for scores in heads.values())
    remark = gap_remark(validation, test)
    return [f"validation macro-F1 of this model: {validation:.3f}. {remark}"] if remark else []


def _class_names(trained: TrainedModel, match: ClassMatch) -> dict[str, dict[int, str]]:
    """The names that the model was trained with, else those in the data; those of two classes with their numbers."""
    found: dict[str, dict[int, str]] = {}
    for head, size in trained.num_class.items():
        known = {**match.names[head], **trained.classes.names_of(head)}
        names = {k: name for k, name in known.items() if k < size} | match.unseen[head]
        counts = Counter(names.values())
        found[head] = {k: name if counts[name] == 1 else f"{name} ({k})" for k, name in names.items()}
    return found


@dataclass(frozen=True)
class ScoredSplit:
    """A run's best model, evaluated on a split."""

    config: Config
    data: Data
    clips: Sequence[Clip]
    """Those of the split, N of them."""
    evaluation: Evaluation
    """Its predictions are in the order of the clips."""

    def to_dict(self) -> dict[str, Any]:
        """The result of `score_split`."""
        evaluation, train = self.evaluation, self.config.train_parameters
        return {
            "objective": evaluation.score(train.objective_heads, train.objective_metric),
            "mean_macro_f1": evaluation.macro_f1,
            "mean_accuracy": evaluation.accuracy,
            "loss": evaluation.loss,
            "clips": len(self.clips),
            "heads": evaluation.all_scores,
        }


def score_split(
    checkpoint: str | Path, runtime: Runtime, *, split: str = "test", data_path: Sequence[str] = ()
) -> dict[str, Any]:
    """Scores of a run's `best` folder on a split ("train", "val" or "test") of its own data, or of `data_path`.

    Returns {"objective", "mean_macro_f1", "mean_accuracy", "loss", "clips", "heads": {head: {"accuracy", "macro_f1",
    "top1", ...}}}; the objective is the mean over the heads of `train_parameters.objective_heads`, "mean_macro_f1" over
    all heads. The scores of a head are those of `metrics.SCORES`, None where they have no meaning.

    Raises:
        ConfigError: no such checkpoint; or an empty split, or classes that the model was not built for.
    """
    return evaluate_split(checkpoint, runtime, split=split, data_path=data_path).to_dict()


def evaluate_split(
    checkpoint: str | Path, runtime: Runtime, *, split: str = "test", data_path: Sequence[str] = ()
) -> ScoredSplit:
    """Arguments and errors as of `score_split`, with the predictions of each clip. The runtime has one worker."""
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
    evaluation = evaluate(trained.model, eval_batches(config, clips, runtime, features), config, runtime, ranks=True)
    return ScoredSplit(config, data, clips, evaluation)
