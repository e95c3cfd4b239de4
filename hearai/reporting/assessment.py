"""The report of `evaluate.py`: scores of a trained model on some clips, as a table, JSON and figures."""

import json
from pathlib import Path
from typing import Any

from hearai.data.annotations.metadata import class_name
from hearai.files import atomic_write_text
from hearai.reporting.figures import confusion_figure
from hearai.reporting.text import score, shorten
from hearai.sign.hamnosys import short_meaning
from hearai.training.inference.assess import Assessment
from hearai.training.scores import HeadScores, MajorityBaseline

NAME_WIDTH = 32
"""Characters of the first column."""


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
    lines += ["", "majority: macro-F1 of always predicting the most frequent class of the training clips."]
    lines.append("macro-F1 is the mean over the classes that occur among these clips.")
    return "\n".join(lines)


def write_assessment(assessment: Assessment, folder: Path) -> Path:
    """Writes evaluation.json and a confusion matrix per head; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for head, scores in assessment.heads.items():
        names = [short_meaning(class_name(assessment.class_names, head, k)) for k in range(len(scores.confusion))]
        title = f"{head}: macro-F1 {scores.macro_f1:.3f}, accuracy {scores.accuracy:.3f}"
        confusion_figure(scores.confusion.numpy(), names, title, folder / f"{head}.png")
    atomic_write_text(folder / "evaluation.json", json.dumps(_to_dict(assessment), indent=1, ensure_ascii=False))
    return folder


def _to_dict(assessment: Assessment) -> dict[str, Any]:
    return {
        "checkpoint": str(assessment.checkpoint),
        "data_path": list(assessment.data_path),
        "split": assessment.split,
        "clips": assessment.clips,
        "mean_macro_f1": assessment.macro_f1,
        "floor_mean_macro_f1": assessment.majority_macro_f1,
        "heads": {head: _head_to_dict(assessment, head, scores) for head, scores in assessment.heads.items()},
    }


def _head_to_dict(assessment: Assessment, head: str, scores: HeadScores) -> dict[str, Any]:
    return {
        "clips": scores.clips,
        "classes": scores.classes,
        "accuracy": scores.accuracy,
        "top3": scores.top3,
        "macro_f1": scores.macro_f1,
        "floor": _majority_to_dict(assessment, head, scores.majority),
        "confusion": scores.confusion.tolist(),
    }


def _majority_to_dict(assessment: Assessment, head: str, majority: MajorityBaseline | None) -> dict[str, Any] | None:
    if majority is None:
        return None
    name = class_name(assessment.class_names, head, majority.label)
    return {"class": majority.label, "name": name, "accuracy": majority.accuracy, "macro_f1": majority.macro_f1}
