"""The report of `evaluate.py`: scores of a trained model on some clips, as a table, JSON and figures."""

import functools
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from hearai.data.annotations.metadata import class_name
from hearai.errors import UserError
from hearai.files import atomic_write_text, csv_text
from hearai.metrics import TOP
from hearai.reporting.figures import confusion_figure
from hearai.reporting.study_report.final_scores import ConfigScores, read_test_scores
from hearai.reporting.text import COLUMNS, csv_cell, score, shorten
from hearai.search.storage.layout import BEST_MODEL, FINAL_RUN, TEST_SCORES, TRIALS
from hearai.sign.hamnosys import MISSING, short_meaning
from hearai.training.inference.assess import Assessment
from hearai.training.inference.calibration import LEAST_CLIPS
from hearai.training.inference.reliability import not_measured, uncertain_clips
from hearai.training.outputs.confusion import MOST_DENSE, Confusion
from hearai.training.scores import HeadScores, MajorityBaseline

PREDICTIONS = "predictions.csv"
PREDICTION_COLUMNS = ("clip", "head", "true", "predicted", "probability", "rank", "uncertain", "distance", "unlike")
SAME_SCORE = 5e-4
"""Scores that differ by less are printed alike."""
SORTED_AT_ONCE = 2**20
"""Probabilities: those of all clips at once would need gigabytes where there are very many classes."""
NAME_WIDTH = 32
"""Characters of the first column."""
RELIABILITY_COLUMN_WIDTH = 13
RANK_NAME_WIDTH, RANK_COLUMN_WIDTH = 30, 7
"""Of the table of ranks, characters."""


def assessment_text(assessment: Assessment) -> str:
    """The table for the terminal, at most 80 columns wide."""
    data = ", ".join(assessment.data_path)
    lines = [f"{assessment.checkpoint}: {assessment.split} clips of {data} ({assessment.clips})", ""]
    lines.append(f"{'':<{NAME_WIDTH}}{'classes':>8}{'accuracy':>10}{'top 3':>8}{'macro-F1':>10}{'majority':>10}")
    for head, scores in assessment.heads.items():
        values = f"{scores.accuracy:>10.3f}{scores.top3:>8.3f}{scores.macro_f1:>10.3f}"
        majority = score(scores.majority.macro_f1 if scores.majority else None)
        lines.append(f"{shorten(head, NAME_WIDTH - 1):<{NAME_WIDTH}}{scores.classes:>8}{values}{majority:>10}")
    mean = f"{assessment.macro_f1:>10.3f}{score(assessment.majority_macro_f1):>10}"
    lines.append(f"{'mean over the heads':<{NAME_WIDTH}}{'':>26}{mean}")
    lines += ["", *_rank_lines(assessment.heads)]
    lines += ["", *_wrap("majority: macro-F1 of always predicting the most frequent class of the training clips.")]
    lines += _wrap("macro-F1 and per class: means over the classes that occur among these clips.")
    lines += ["", *_reliability_lines(assessment)]
    for remark in _remarks(assessment):
        lines += _wrap(f"note: {remark}")
    return "\n".join(lines)


def _rank_lines(heads: Mapping[str, HeadScores]) -> list[str]:
    """The table of scores by the rank of the true class."""
    width = RANK_COLUMN_WIDTH
    groups = f"{'':<{RANK_NAME_WIDTH}}{'of clips':>{3 * width}}{'per class':>{3 * width}}"
    names = [f"top {k}" for k in TOP.values()] + ["MRR"]
    lines = [groups, f"{'':<{RANK_NAME_WIDTH}}" + "".join(f"{name:>{width}}" for name in names)]
    for head, scores in heads.items():
        values = "".join(f"{score(value):>{width}}" for value in scores.ranks.values())
        lines.append(f"{shorten(head, RANK_NAME_WIDTH - 1):<{RANK_NAME_WIDTH}}{values}")
    lines += [
        "",
        *_wrap("top k: share of clips whose class is among the k most probable (recall@k). MRR: mean 1 / rank."),
    ]
    small = [name for name in TOP if any(one.ranks[name] is None for one in heads.values())]
    if small:
        lines += _wrap("-: top k of a head with at most k classes; any prediction would score 1.")
    return lines


def _reliability_lines(assessment: Assessment) -> list[str]:
    """How far probabilities are from accuracy, and how many clips are unlike the training clips."""
    columns = ("as trained", "calibrated", "temperature")
    width = RELIABILITY_COLUMN_WIDTH
    lines = [f"{'expected calibration error':<{NAME_WIDTH}}" + "".join(f"{name:>{width}}" for name in columns)]
    for head, one in assessment.calibration.items():
        temperature = "-" if one.temperature is None else f"{one.temperature:.2f}"
        values = (score(one.error), score(one.calibrated_error), temperature)
        lines.append(f"{shorten(head, NAME_WIDTH - 1):<{NAME_WIDTH}}" + "".join(f"{one:>{width}}" for one in values))
    lines.append("")
    distances, reliability = assessment.distances, assessment.reliability
    if distances is None or reliability is None:
        return lines + _wrap(f"note: {not_measured(assessment.checkpoint)}")
    if not set(assessment.heads) <= set(reliability.temperatures):
        lines += _wrap(f"-: fewer than {LEAST_CLIPS} labels in validation: not calibrated.")
    unlike = sum(reliability.is_unlike(distance) for distance in distances)
    return lines + _wrap(
        f"unlike the training clips: {unlike} of {assessment.clips} (distance above {reliability.limit:.3g}, which 5 % "
        "of the validation clips exceed)."
    )


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, break_on_hyphens=False, break_long_words=False, subsequent_indent="  ")


def _remarks(assessment: Assessment) -> list[str]:
    """What the reader of the scores must know."""
    return [*assessment.remarks, *_study_remarks(assessment)]


def _study_remarks(assessment: Assessment) -> list[str]:
    """Why this test score is not the one in the report of the study whose folder holds the checkpoint."""
    chosen, checkpoint = assessment.chosen, assessment.checkpoint.absolute()
    study = next((folder for folder in list(checkpoint.parents)[:4] if (folder / TEST_SCORES).is_file()), None)
    if study is None or chosen.split != "test" or not chosen.is_own:
        return []
    place = checkpoint.relative_to(study).parts
    if place[0] == FINAL_RUN:
        return [f"this is the winner of {study.name}, trained once more; the report has no score of this model"]
    try:
        scores = read_test_scores(study / TEST_SCORES)
    except UserError:
        scores = None
    if scores is None:
        return [f"{study / TEST_SCORES}: unreadable, so that this score cannot be compared with that of the report"]
    for one in (scores.winner, scores.base):
        if one is not None and ((place[0] == BEST_MODEL and one is scores.winner) or _is_run_of(one, place)):
            return _other_runs(assessment, study, one)
    return []


def _is_run_of(scores: ConfigScores, place: Sequence[str]) -> bool:
    """place: the folders from the study to the checkpoint."""
    return place[0] == TRIALS and place[1].partition("-")[0] == f"{scores.trial:04d}"


def _other_runs(assessment: Assessment, study: Path, scores: ConfigScores) -> list[str]:
    own = f"this checkpoint is the run with seed {assessment.seed}"
    found = f"the report of {study.name} has {score(scores.mean_macro_f1)} for trial {scores.trial} on these clips"
    if scores.seeds:
        seeds = ", ".join(map(str, scores.seeds))
        is_one = "one of them" if assessment.seed in scores.seeds else "the run of the search, which is not among them"
        return [f"{found}: the mean over its runs with the seeds {seeds}; {own}, {is_one}"]
    is_same = abs(scores.mean_macro_f1 - assessment.macro_f1) < SAME_SCORE
    return [] if is_same else [f"{found}: the mean over its runs on all splits; {own} on one of them"]


def write_assessment(assessment: Assessment, folder: Path) -> Path:
    """Writes evaluation.json, predictions.csv and a confusion matrix per head; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for head, scores in assessment.heads.items():
        title = f"{head}: macro-F1 {scores.macro_f1:.3f}, accuracy {scores.accuracy:.3f}"
        name_of = functools.partial(_short_name, assessment, head)
        confusion_figure(scores.confusion, name_of, title, folder / f"{head}.png")
    atomic_write_text(folder / PREDICTIONS, predictions_csv(assessment))
    atomic_write_text(folder / "evaluation.json", json.dumps(_to_dict(assessment), indent=1, ensure_ascii=False))
    return folder


def _short_name(assessment: Assessment, head: str, k: int) -> str:
    return short_meaning(class_name(assessment.class_names, head, k))


def predictions_csv(assessment: Assessment) -> str:
    """One row per clip and head, in the order of the clips.

    `true` and `predicted` are names of classes (numbers where no list names them), `probability` is that of the
    predicted class, calibrated where the model is, `rank` the place of the true class among the classes by probability:
    1 = correct. Without a label `true` and `rank` are empty; `rank`, too, for a class that the model does not have.
    `uncertain` and `unlike` are 1 or 0: see `is_uncertain` and `Reliability.is_unlike`; the latter and `distance`, to
    the nearest training clip, are empty where they were not measured.
    """
    ranked = {head: _ranked(assessment, head) for head in assessment.probabilities}
    uncertain = {head: uncertain_clips(p_NK) for head, p_NK in assessment.probabilities.items()}
    distances, reliability = assessment.distances, assessment.reliability
    table: list[Sequence[object]] = [PREDICTION_COLUMNS]
    for i, clip in enumerate(assessment.chosen.clips):
        unlike: Sequence[object] = ("", "")
        if distances is not None and reliability is not None:
            unlike = (f"{distances[i]:.4f}", int(reliability.is_unlike(distances[i])))
        for head, rows in ranked.items():
            true, predicted, probability, rank = rows[i]
            names = [class_name(assessment.class_names, head, k) if k != MISSING else "" for k in (true, predicted)]
            cells = [csv_cell(cell) for cell in (clip.key, head, *names)]
            table.append([*cells, f"{probability:.4f}", rank, int(uncertain[head][i]), *unlike])
    return csv_text(table)


def _ranked(assessment: Assessment, head: str) -> list[tuple[int, int, float, int | None]]:
    """(true class, predicted class, its probability, rank of the true class) of each clip."""
    columns = (assessment.outputs.logits[head], assessment.probabilities[head], assessment.labels[head])
    clips = max(1, SORTED_AT_ONCE // columns[0].shape[1])
    parts = zip(*(column.split(clips) for column in columns), strict=True)
    return [row for part in parts for row in _ranked_part(*part)]


def _ranked_part(
    logits_NK: Tensor, probabilities_NK: Tensor, labels_N: Tensor
) -> list[tuple[int, int, float, int | None]]:
    order_NK = logits_NK.argsort(dim=-1, descending=True, stable=True)  # the first of equal ones, as argmax
    hits_NK = order_NK == labels_N.unsqueeze(1)
    ranks_N = hits_NK.int().argmax(dim=-1) + 1
    predicted_N = order_NK[:, 0]
    columns = (
        labels_N.tolist(),
        predicted_N.tolist(),
        probabilities_NK.gather(1, predicted_N.unsqueeze(1)).squeeze(1).tolist(),
        [rank if hit else None for rank, hit in zip(ranks_N.tolist(), hits_NK.any(-1).tolist(), strict=True)],
    )
    return list(zip(*columns, strict=True))


def _to_dict(assessment: Assessment) -> dict[str, Any]:
    return {
        "checkpoint": str(assessment.checkpoint),
        "data_path": list(assessment.data_path),
        "split": assessment.split,
        "clips": assessment.clips,
        "mean_macro_f1": assessment.macro_f1,
        "floor_mean_macro_f1": assessment.majority_macro_f1,
        "heads": {head: _head_to_dict(assessment, head, scores) for head, scores in assessment.heads.items()},
        "matched_by": assessment.matched_by,
        "unseen": {
            head: {"clips": one.clips, "classes": list(one.names), "skipped": assessment.skipped_unseen}
            for head, one in assessment.unseen.items()
        },
        "unlike_training": _unlike_to_dict(assessment),
        "notes": _remarks(assessment),
    }


def _unlike_to_dict(assessment: Assessment) -> dict[str, Any] | None:
    """None where it was not measured."""
    distances, reliability = assessment.distances, assessment.reliability
    if distances is None or reliability is None:
        return None
    return {"clips": sum(map(reliability.is_unlike, distances)), "limit": reliability.limit}


def _head_to_dict(assessment: Assessment, head: str, scores: HeadScores) -> dict[str, Any]:
    return {
        "clips": scores.clips,
        "classes": scores.classes,
        "accuracy": scores.accuracy,
        "top3": scores.top3,
        "macro_f1": scores.macro_f1,
        **scores.ranks,
        "calibration": asdict(assessment.calibration[head]),
        "floor": _majority_to_dict(assessment, head, scores.majority),
        **_counts(scores.confusion),
    }


def _counts(confusion: Confusion) -> dict[str, Any]:
    """The matrix (K, K); of many classes only [true class, predicted class, clips] of each pair that occurs."""
    if confusion.num_class <= MOST_DENSE:
        return {"confusion": confusion.dense().tolist()}
    columns = (confusion.true_P, confusion.predicted_P, confusion.counts_P)
    return {"confusion_pairs": [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]}


def _majority_to_dict(assessment: Assessment, head: str, majority: MajorityBaseline | None) -> dict[str, Any] | None:
    if majority is None:
        return None
    name = class_name(assessment.class_names, head, majority.label)
    return {
        "class": majority.label,
        "name": name,
        "accuracy": majority.accuracy,
        "macro_f1": majority.macro_f1,
        **majority.ranks,
    }
