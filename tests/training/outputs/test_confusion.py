"""Counts of pairs of classes: equal to those of a dense matrix, and small however many class numbers there are."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hearai.sign.hamnosys import MISSING
from hearai.training.outputs.checkpoint import load_checkpoint, save_checkpoint
from hearai.training.outputs.confusion import Confusion
from hearai.training.scores import accuracy, macro_f1


def dense_confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    known = labels != MISSING
    cells = labels[known] * classes + predicted[known]
    return torch.bincount(cells, minlength=classes**2).view(classes, classes)


def dense_scores(matrix: Tensor) -> tuple[float, float]:
    """Accuracy and macro-F1, computed over all cells."""
    values = matrix.double()
    support, predicted = values.sum(1), values.sum(0)
    f1 = 2 * values.diagonal() / (support + predicted).clamp(min=1)
    return float(matrix.diagonal().sum() / matrix.sum()), float(f1[support > 0].mean())


def random_pairs(classes: int, seed: int, clips: int = 300) -> tuple[Tensor, Tensor]:
    """(predicted, labels): some logits are NaN, some labels missing, a third of the classes is never true."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(clips, classes, generator=generator)
    logits[torch.rand(clips, classes, generator=generator) < 0.05] = torch.nan
    labels = torch.randint(MISSING, max(1, classes * 2 // 3), (clips,), generator=generator)
    return logits.argmax(-1), labels


@pytest.mark.parametrize("classes", range(2, 51))
def test_scores_equal_those_of_a_dense_matrix_bit_by_bit(classes: int) -> None:
    predicted, labels = random_pairs(classes, seed=classes)
    confusion, matrix = Confusion.count(predicted, labels, classes), dense_confusion(predicted, labels, classes)
    assert torch.equal(confusion.dense(), matrix)
    assert torch.equal(confusion.support_K, matrix.sum(1)) and torch.equal(confusion.predictions_K, matrix.sum(0))
    assert (accuracy(confusion), macro_f1(confusion)) == dense_scores(matrix)


def test_scores_do_not_depend_on_gaps_between_the_numbers() -> None:
    predicted, labels = random_pairs(7, seed=0)
    numbers = torch.tensor([0, 5, 70, 999, 5_000, 69_999, 70_000])
    near = Confusion.count(predicted, labels, 7)
    far = Confusion.count(numbers[predicted], numbers[labels].where(labels != MISSING, MISSING), 70_001)
    assert (accuracy(far), macro_f1(far)) == (accuracy(near), macro_f1(near))
    assert torch.equal(far.block(numbers.tolist()), near.dense())
    assert far.cells_P.numel() <= 7 * 7 and far.most_frequent(100) == numbers.tolist()


def test_the_most_frequent_classes_are_found() -> None:
    confusion = Confusion.count(torch.tensor([9, 9, 9, 1, 4]), torch.tensor([1, 1, 2, 2, MISSING]), 10)
    assert confusion.most_frequent(2) == [1, 9], "true or predicted three times each"
    assert confusion.most_frequent(5) == [1, 2, 9], "class 4 was predicted without a label"


@pytest.mark.parametrize("classes", [4, 70_001])
def test_a_checkpoint_holds_only_the_pairs_that_occur(classes: int, tmp_path: Path) -> None:
    labels = torch.tensor([0, 3, classes - 1])
    confusion = Confusion.count(labels.flip(0), labels, classes)
    save_checkpoint(tmp_path, {"gloss": confusion.matrix()})
    assert (tmp_path / "state.pt").stat().st_size < 10_000
    loaded = Confusion.of_matrix(load_checkpoint(tmp_path)["gloss"])
    assert loaded.num_class == classes
    assert torch.equal(loaded.cells_P, confusion.cells_P) and torch.equal(loaded.counts_P, confusion.counts_P)


def test_dense_matrices_of_older_checkpoints_are_read() -> None:
    matrix = torch.tensor([[3, 0, 1], [0, 0, 0], [2, 0, 4]], dtype=torch.int32)
    confusion = Confusion.of_matrix(matrix)
    assert torch.equal(confusion.dense(), matrix.long()) and len(confusion.counts_P) == 4


@pytest.mark.parametrize(
    ("matrix", "found"),
    [
        (torch.zeros(2, 3, dtype=torch.int32), "shape"),
        (torch.zeros(4, dtype=torch.int32), "shape"),
        (torch.eye(2), "float32"),
        (torch.tensor([[1, -1], [0, 1]]), "not counts"),
        (torch.zeros(2, 2, dtype=torch.int32, device="meta"), "without values"),
    ],
    ids=["not square", "one dimension", "floats", "negative", "meta"],
)
def test_what_is_not_a_matrix_of_counts_is_refused(matrix: Tensor, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        Confusion.of_matrix(matrix)
