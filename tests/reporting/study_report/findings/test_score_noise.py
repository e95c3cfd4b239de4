"""The standard error of a score against the spread of simulated predictions."""

import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hearai.data.tools.dataset_facts import DatasetFacts, HeadFacts, PaddingFacts
from hearai.reporting.study_report.findings.score_noise import standard_error
from hearai.reporting.study_report.study_record import StudyRecord, read_record
from hearai.training.outputs.confusion import Confusion
from hearai.training.scores import macro_f1

pytestmark = pytest.mark.heavy
DRAWS = 400


def with_counts(record: StudyRecord, *val: list[int]) -> StudyRecord:
    """Validation clips of each class of one or more heads."""
    heads = {
        f"head{i}": HeadFacts(classes=len(counts), counts={"val": dict(enumerate(counts))})
        for i, counts in enumerate(val)
    }
    padding = PaddingFacts(num_segments=4, time=None, padded=0, missing_share=0.0)
    facts = DatasetFacts(datasets={}, frames=(1, 1, 1), parts={}, shared_signers=0, heads=heads, padding=padding)
    return replace(record, facts=facts)


def simulated(counts: list[int], accuracy: float) -> list[float]:
    """Macro-F1 of predictions that are right with this probability, and otherwise any other class."""
    generator, classes = torch.Generator().manual_seed(0), len(counts)
    labels = torch.repeat_interleave(torch.arange(classes), torch.tensor(counts))
    scores = []
    for _ in range(DRAWS):
        shift = torch.randint(1, classes, labels.shape, generator=generator)
        is_right = torch.rand(labels.shape, generator=generator) < accuracy
        predicted = torch.where(is_right, labels, (labels + shift) % classes)
        scores.append(macro_f1(Confusion.count(predicted, labels, classes)))
    return scores


@pytest.mark.parametrize("accuracy", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize(
    "counts", [[20] * 5, [60, 30, 10, 5], [30, 10, 5, 3, 2, 1, 1], [4] * 20], ids=["even", "uneven", "rare", "many"]
)
def test_it_is_close_to_the_spread_of_macro_f1(finished: Path, counts: list[int], accuracy: float) -> None:
    scores = simulated(counts, accuracy)
    estimate = standard_error(with_counts(read_record(finished), counts), statistics.fmean(scores))
    assert estimate.low == estimate.high and 0.75 < estimate.high / statistics.stdev(scores) < 1.5


def test_of_several_heads_it_is_between_two_bounds(finished: Path) -> None:
    record = read_record(finished)
    one = standard_error(with_counts(record, [10, 10]), 0.5)
    four = standard_error(with_counts(record, *[[10, 10]] * 4), 0.5)
    assert four.high == pytest.approx(one.high) and four.low == pytest.approx(one.high / 2)
    assert (str(one), str(four)) == ("0.112", "0.056 to 0.112")


def test_without_counts_it_follows_from_the_number_of_clips(finished: Path) -> None:
    record = read_record(finished)
    assert standard_error(record, 0.5) is None  # the builder writes no sizes
    assert standard_error(replace(record, data={"val": 100}), 0.5).high == pytest.approx(0.05)
    assert standard_error(replace(record, data={"val": 100}), 1.0).low > 0
