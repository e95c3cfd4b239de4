"""What `evaluate.py` says: a trained model on some clips, as a table, JSON and pictures."""

import json
from pathlib import Path
from typing import Any

from hearai.data.annotations.metadata import class_name
from hearai.files import write_whole
from hearai.reporting.figures import confusion_picture
from hearai.sign.hamnosys import short_meaning
from hearai.training.inference.assess import Assessment
from hearai.training.scores import Floor, HeadScores

NAME = 32
"""Width of the table's first column; the others make it 80."""


def assessment_text(assessment: Assessment) -> str:
    """The table for the terminal, at 80 columns."""
    split = "all" if assessment.split == "all" else f"{assessment.split}"
    lines = [f"{assessment.checkpoint}: {split} clips of {', '.join(assessment.data_path)} ({assessment.clips})", ""]
    lines.append(f"{'':<{NAME}}{'classes':>8}{'accuracy':>10}{'top 3':>8}{'macro-F1':>10}{'floor':>8}")
    for head, scores in assessment.heads.items():
        floor = "-" if scores.floor is None else f"{scores.floor.macro_f1:.3f}"
        figures = f"{scores.accuracy:>10.3f}{scores.top3:>8.3f}{scores.macro_f1:>10.3f}{floor:>8}"
        lines.append(f"{head[: NAME - 1]:<{NAME}}{scores.classes:>8}{figures}")
    floor = assessment.floor_macro_f1
    low = "-" if floor is None else f"{floor:.3f}"
    lines.append(f"{'mean over the heads':<{NAME}}{'':>26}{assessment.macro_f1:>10.3f}{low:>8}")
    lines += ["", "floor: macro-F1 of always answering the most frequent class of training."]
    lines.append("macro-F1 is over the classes that occur among these clips.")
    return "\n".join(lines)


def write_assessment(assessment: Assessment, folder: Path) -> Path:
    """Writes evaluation.json and a confusion matrix for each head; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for head, scores in assessment.heads.items():
        names = [short_meaning(class_name(assessment.class_names, head, k)) for k in range(len(scores.confusion))]
        title = f"{head}: macro-F1 {scores.macro_f1:.3f}, accuracy {scores.accuracy:.3f}"
        confusion_picture(scores.confusion.numpy(), names, title, folder / f"{head}.png")
    write_whole(folder / "evaluation.json", json.dumps(_record(assessment), indent=1, ensure_ascii=False))
    return folder


def _record(assessment: Assessment) -> dict[str, Any]:
    return {
        "checkpoint": str(assessment.checkpoint),
        "data_path": list(assessment.data_path),
        "split": assessment.split,
        "clips": assessment.clips,
        "mean_macro_f1": assessment.macro_f1,
        "floor_mean_macro_f1": assessment.floor_macro_f1,
        "heads": {head: _head(assessment, head, scores) for head, scores in assessment.heads.items()},
    }


def _head(assessment: Assessment, head: str, scores: HeadScores) -> dict[str, Any]:
    return {
        "clips": scores.clips,
        "classes": scores.classes,
        "accuracy": scores.accuracy,
        "top3": scores.top3,
        "macro_f1": scores.macro_f1,
        "floor": _floor(assessment, head, scores.floor),
        "confusion": scores.confusion.tolist(),
    }


def _floor(assessment: Assessment, head: str, floor: Floor | None) -> dict[str, Any] | None:
    if floor is None:
        return None
    name = class_name(assessment.class_names, head, floor.label)
    return {"class": floor.label, "name": name, "accuracy": floor.accuracy, "macro_f1": floor.macro_f1}
