"""The majority baseline: test scores of always predicting the most frequent class of the training clips."""

import csv
import logging
import statistics
from collections.abc import Sequence
from pathlib import Path

from hearai.data.annotations.clip import Clip
from hearai.data.annotations.fingerprint import is_same_dataset
from hearai.data.annotations.load import load_data
from hearai.errors import UserError
from hearai.reporting.study_report.final_scores import MajorityHeadScore, MajorityScores
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.search.storage.layout import SPLIT_FILE
from hearai.training.scores import class_counts, labels_of, majority_baseline

log = logging.getLogger(__name__)


def majority_scores(record: StudyRecord) -> MajorityScores | None:
    """The majority baseline of the study's split; None where the dataset is missing or has changed.

    Raises:
        UserError: split.csv is broken.
    """
    try:
        data = load_data(record.study.base)
    except UserError as error:
        log.info("the report omits the majority baseline: %s", error.problems[0])
        return None
    split_of = _read_split(record.folder / SPLIT_FILE)
    clips = {clip.key: clip for clip in data.clips}
    if not is_same_dataset(record.data, data.fingerprints.as_dict()) or split_of.keys() != clips.keys():
        reason = "the dataset has changed" if split_of else f"{record.folder / SPLIT_FILE} is missing or empty"
        log.info("the report omits the majority baseline: %s", reason)
        return None
    train, test = ([clip for key, clip in clips.items() if split_of[key] == part] for part in ("train", "test"))
    scores = {head: _head_score(head, classes, train, test) for head, classes in data.num_class.items()}
    heads = {head: one for head, one in scores.items() if one}
    if not heads:
        return None
    return MajorityScores(statistics.fmean(one.macro_f1 for one in heads.values()), heads)


def _head_score(head: str, num_class: int, train: Sequence[Clip], test: Sequence[Clip]) -> MajorityHeadScore | None:
    """None where the head has no labels."""
    majority = majority_baseline(class_counts(train, head, num_class), labels_of(test, [head])[head])
    if majority is None:
        return None
    return MajorityHeadScore(majority.label, majority.accuracy, majority.macro_f1, majority.ranks)


def _read_split(path: Path) -> dict[str, str]:
    """{clip key: train, val or test}; empty without the file."""
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["name"]: row["split"] for row in csv.DictReader(file)}
    except (csv.Error, ValueError, KeyError):
        raise UserError(
            f"{path}: not a table with columns name and split; delete it, and the same search command writes it again"
        ) from None
