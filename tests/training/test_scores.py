"""Scores of probabilities, beside what is to be had without looking."""

import pytest
import torch

from hearai.sign.hamnosys import MISSING
from hearai.training.scores import floor_of, score_heads

P_NK = torch.tensor([[0.5, 0.3, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.25, 0.24, 0.26, 0.25]])


def test_accuracy_top3_and_macro_f1_of_a_hand_made_case():
    (scores,) = score_heads({"a": P_NK}, {"a": torch.tensor([0, 1, 3, 2])}, {}).values()
    assert (scores.clips, scores.classes) == (4, 4)
    assert scores.accuracy == 0.5, "clips 0 and 3"
    assert scores.top3 == 0.75, "clip 2's class is the least likely one"
    # class 0: one right, one false alarm: 2/3; class 2: 1; classes 1 and 3: 0
    assert scores.macro_f1 == pytest.approx((2 / 3 + 1) / 4)
    assert scores.confusion.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]]


def test_clips_without_a_label_count_nowhere_and_heads_without_labels_are_left_out():
    labels = {"a": torch.tensor([0, MISSING, MISSING, 2]), "b": torch.full((4,), MISSING)}
    scores = score_heads({"a": P_NK, "b": P_NK}, labels, {})
    assert scores.keys() == {"a"} and scores["a"].clips == 2 and scores["a"].accuracy == 1.0


def test_with_two_classes_the_three_likeliest_are_both():
    (scores,) = score_heads({"a": P_NK[:, :2]}, {"a": torch.tensor([0, 1, 1, 1])}, {}).values()
    assert scores.top3 == 1.0


def test_the_floor_answers_the_class_that_training_had_most_of():
    floor = floor_of([1, 5, 5, 0], torch.tensor([1, 1, 0, MISSING]))
    assert floor.label == 1, "the first of equals"
    assert floor.accuracy == pytest.approx(2 / 3)
    assert floor.macro_f1 == pytest.approx((2 * 2 / 5 + 0) / 2), "two classes occur; one is never answered"


@pytest.mark.parametrize(("counts", "labels"), [([0, 0], [0, 1]), ([3, 1], [MISSING])])
def test_without_anything_to_count_or_answer_there_is_no_floor(counts: list[int], labels: list[int]):
    assert floor_of(counts, torch.tensor(labels)) is None
