"""Which classes the winner confuses on the test clips: the worst pairs with example frames, and a matrix per head."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hearai.reporting.study_report.cards.card import Card, NotYet
from hearai.reporting.study_report.stored_files import read_confusions, read_examples
from hearai.reporting.study_report.study_record import StudyRecord
from hearai.reporting.study_report.summary import StudySummary
from hearai.search.storage.layout import TEST_SCORES
from hearai.sign.hamnosys import short_meaning
from hearai.training.inference.confusion_record import (
    ConfusedPair,
    ConfusionRecord,
    Example,
    ExamplesRecord,
    HeadConfusion,
    worst_pairs,
)

MOST_CLASSES = 20
"""Classes of a matrix; of more, those that are confused most."""


@dataclass(frozen=True)
class PairRow:
    """A pair of classes, with frames where they are known."""

    pair: ConfusedPair
    true: str
    predicted: str
    example: Example | None


@dataclass(frozen=True)
class Cell:
    """Clips of one true class with one prediction."""

    clips: int
    share: float
    """Of the true class, in [0, 1]."""


@dataclass(frozen=True)
class Matrix:
    """The confusions of one head; columns are the classes of the rows, then all others."""

    head: str
    names: Mapping[int, str]
    """{class that is shown: its name}"""
    rows: Mapping[int, Sequence[Cell]]
    """{true class: its cells}"""
    wrong: int
    clips: int
    """Predictions, over all runs."""
    occurring: int
    """Classes that occur as true or predicted ones."""


def build(record: StudyRecord, summary: StudySummary) -> Mapping[str, Any]:
    """Raises NotYet before the test clips are scored, and for scores of older searches."""
    if summary.test is None:
        raise NotYet("Needs the test scores.")
    confusions, winner = read_confusions(record.folder), summary.test.winner
    if confusions is None or (confusions.trial, tuple(confusions.seeds)) != (winner.trial, tuple(winner.seeds)):
        path = shlex.quote(str(record.folder / TEST_SCORES))
        raise NotYet(
            "The test clips were scored by an older version, which kept no confusions; to score them again: "
            f"rm {path}, then the same search command."
        )
    examples = read_examples(record.folder)
    return {
        "runs": confusions.runs,
        "clips": confusions.clips,
        "pairs": _pair_rows(confusions, examples),
        "matrices": sorted((_matrix(head, one) for head, one in confusions.heads.items()), key=lambda m: -m.wrong),
        "are_landmarks": examples.are_landmarks if examples else False,
        "note": examples.note if examples else "The study folder has no example frames (test_examples.json)",
        "most": MOST_CLASSES,
    }


def _pair_rows(confusions: ConfusionRecord, examples: ExamplesRecord | None) -> list[PairRow]:
    frames = {(one.head, one.true, one.predicted): one for one in examples.examples} if examples else {}
    rows = []
    for pair in worst_pairs(confusions.heads):
        names = confusions.heads[pair.head]
        true, predicted = (short_meaning(names.name_of(label)) for label in (pair.true, pair.predicted))
        rows.append(PairRow(pair, true, predicted, frames.get((pair.head, pair.true, pair.predicted))))
    return rows


def _matrix(head: str, confusion: HeadConfusion) -> Matrix:
    errors: Counter[int] = Counter()
    occurring: Counter[int] = Counter()
    for true, predicted, clips in confusion.counts:
        for label in {true, predicted}:
            occurring[label] += clips
            errors[label] += clips * (true != predicted)
    most = sorted(occurring, key=lambda label: (-errors[label], -occurring[label], label))[:MOST_CLASSES]
    shown, support = sorted(most), confusion.support
    counts = {(true, predicted): clips for true, predicted, clips in confusion.counts}
    rows = {label: _cells(label, shown, counts, support[label]) for label in shown if support[label]}
    return Matrix(
        head=head,
        names={label: short_meaning(confusion.name_of(label)) for label in shown},
        rows=rows,
        wrong=sum(clips for true, predicted, clips in confusion.counts if true != predicted),
        clips=sum(support.values()),
        occurring=len(occurring),
    )


def _cells(label: int, shown: Sequence[int], counts: Mapping[tuple[int, int], int], support: int) -> list[Cell]:
    """The last one counts the predictions that have no column."""
    clips = [counts.get((label, predicted), 0) for predicted in shown]
    return [Cell(count, count / support) for count in (*clips, support - sum(clips))]


CARD = Card(
    "confusions",
    "Confusions",
    "Which classes the winner confuses on the test clips. Where two clips look alike to you as well, another config "
    "hardly helps; check their labels.",
    build,
)
