"""What is to be had without looking: the scores of always answering the most frequent class."""

import csv
import logging
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.fingerprint import is_same
from hearai.data.annotations.load import load_data
from hearai.errors import UserError
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.training.scores import class_counts, floor_of, labels_of

log = logging.getLogger(__name__)


def most_frequent(record: StudyRecord) -> dict[str, Any] | None:
    """{"mean_macro_f1", "heads": {head: {"class", "accuracy", "macro_f1"}}} on the test clips.

    The class is the one that the training clips have most. None where the dataset is gone or has changed.
    """
    try:
        data = load_data(record.study.base)
    except UserError as error:
        log.info("the most frequent classes are left out of the report: %s", error.problems[0])
        return None
    parts = _read_split(record.folder / "split.csv")
    clips = {clip.key: clip for clip in data.clips}
    if not is_same(record.data, data.prints.known()) or parts.keys() != clips.keys():
        log.info("the most frequent classes are left out of the report: the dataset has changed")
        return None
    train, test = ([clip for key, clip in clips.items() if parts[key] == part] for part in ("train", "test"))
    heads = {head: _scores(head, number, train, test) for head, number in data.num_class.items()}
    heads = {head: scores for head, scores in heads.items() if scores}
    if not heads:
        return None
    return {"mean_macro_f1": statistics.fmean(scores["macro_f1"] for scores in heads.values()), "heads": heads}


def _scores(head: str, number: int, train: Sequence[Clip], test: Sequence[Clip]) -> Mapping[str, float]:
    """Nothing where the head has no labels."""
    floor = floor_of(class_counts(train, head, number), labels_of(test, [head])[head])
    return {"class": floor.label, "accuracy": floor.accuracy, "macro_f1": floor.macro_f1} if floor else {}


def _read_split(path: Path) -> dict[str, str]:
    """{clip key: train, val or test}"""
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["name"]: row["split"] for row in csv.DictReader(file)}
    except (csv.Error, ValueError, KeyError):
        raise UserError(f"{path}: is no table with name and split; delete it, and the same search writes it") from None
