"""Scores of probabilities, and of always predicting the most frequent class."""

import pytest
import torch

from hearai.sign.hamnosys import MISSING
from hearai.training.outputs.confusion import Confusion
from hearai.training.scores import Evaluation, accuracy, macro_f1, majority_baseline, score_heads

P_NK = torch.tensor([[0.5, 0.3, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.25, 0.24, 0.26, 0.25]])


def test_accuracy_top3_and_macro_f1_of_a_hand_made_case():
    (scores,) = score_heads({"a": P_NK}, {"a": torch.tensor([0, 1, 3, 2])}, {}).values()
    assert (scores.clips, scores.classes) == (4, 4)
    assert scores.accuracy == 0.5, "clips 0 and 3"
    assert scores.top3 == 0.75, "clip 2's class is the least probable one"
    # class 0: one true and one false positive: 2/3; class 2: 1; classes 1 and 3: 0
    assert scores.macro_f1 == pytest.approx((2 / 3 + 1) / 4)
    assert scores.confusion.dense().tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]]


def test_missing_labels_are_not_counted():
    labels = {"a": torch.tensor([0, MISSING, MISSING, 2]), "b": torch.full((4,), MISSING)}
    scores = score_heads({"a": P_NK, "b": P_NK}, labels, {})
    assert scores.keys() == {"a"} and scores["a"].clips == 2 and scores["a"].accuracy == 1.0


def test_with_two_classes_the_top_three_are_both():
    (scores,) = score_heads({"a": P_NK[:, :2]}, {"a": torch.tensor([0, 1, 1, 1])}, {}).values()
    assert scores.top3 == 1.0


def test_the_majority_baseline_predicts_the_most_frequent_class():
    majority = majority_baseline([1, 5, 5, 0], torch.tensor([1, 1, 0, MISSING]))
    assert majority.label == 1, "the first of equal ones"
    assert majority.accuracy == pytest.approx(2 / 3)
    assert majority.macro_f1 == pytest.approx((2 * 2 / 5 + 0) / 2), "two classes occur; one is never predicted"


@pytest.mark.parametrize(("counts", "labels"), [([0, 0], [0, 1]), ([3, 1], [MISSING])])
def test_without_counts_or_labels_there_is_no_majority_baseline(counts: list[int], labels: list[int]):
    assert majority_baseline(counts, torch.tensor(labels)) is None


def random_predictions(seed, classes=7, count=200):
    generator = torch.Generator().manual_seed(seed)
    predicted = torch.randint(0, classes, (count,), generator=generator)
    labels = torch.randint(-1, classes - 2, (count,), generator=generator)  # two classes never true
    return predicted, labels


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(3))
def test_scores_match_torchmetrics(seed):
    from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_f1_score  # takes seconds

    predicted, labels = random_predictions(seed)
    expected = multiclass_confusion_matrix(predicted, labels, num_classes=7, ignore_index=MISSING)
    assert torch.equal(Confusion.count(predicted, labels, 7).dense(), expected)
    each = multiclass_f1_score(predicted, labels, num_classes=7, average="none", ignore_index=MISSING)
    assert macro_f1(Confusion.count(predicted, labels, 7)) == pytest.approx(each[:5].mean().item(), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_macro_f1_is_the_mean_over_classes_that_occur(seed):
    predicted, labels = random_predictions(seed)
    pairs = [(p, t) for p, t in zip(predicted.tolist(), labels.tolist(), strict=True) if t != MISSING]
    scores = []
    for c in sorted({t for _, t in pairs}):
        hit = sum(p == c and t == c for p, t in pairs)
        precision = hit / max(sum(p == c for p, _ in pairs), 1)
        recall = hit / sum(t == c for _, t in pairs)
        scores.append(2 * precision * recall / (precision + recall) if hit else 0.0)
    assert macro_f1(Confusion.count(predicted, labels, 7)) == pytest.approx(sum(scores) / len(scores))


def test_a_constant_prediction_has_low_macro_f1():
    labels = torch.tensor([0] * 90 + [1] * 5 + [2] * 5)
    matrix = Confusion.count(torch.zeros(100, dtype=torch.long), labels, 3)
    assert accuracy(matrix) == pytest.approx(0.9)
    assert macro_f1(matrix) == pytest.approx(2 * 0.9 / 1.9 / 3)


def test_the_score_is_the_mean_over_heads_whatever_the_loss():
    correct, wrong = (Confusion.of_matrix(torch.tensor(rows)) for rows in ([[3, 0], [0, 4]], [[0, 3], [4, 0]]))
    evaluation = Evaluation(loss=9.0, confusions={"a": correct, "b": wrong})
    assert evaluation.macro_f1 == 0.5 and evaluation.accuracy == 0.5
    assert evaluation.heads["a"] == {"accuracy": 1.0, "macro_f1": 1.0}


def test_a_class_that_the_model_lacks_is_always_wrong():
    labels, counts = torch.tensor([0, 1, 5, 2]), [1, 1, 1, 1]
    (scores,) = score_heads({"a": P_NK[:, :2]}, {"a": labels}, {"a": counts[:2]}).values()  # of classes 0 and 1
    assert (scores.clips, scores.classes, scores.accuracy, scores.top3) == (4, 4, 0.5, 0.5)
    assert scores.confusion.num_class == 6 and scores.confusion.dense()[5].tolist() == [1, 0, 0, 0, 0, 0]
    # class 0: two false positives (of classes 5 and 2): 2 / (1 + 3); class 1: 1; classes 2 and 5: 0
    assert scores.macro_f1 == pytest.approx((2 / 4 + 1) / 4)
    assert scores.majority is not None and scores.majority.accuracy == 0.25
