"""Top-k, over clips and over classes, and the mean reciprocal rank."""

import pytest
import torch

from hearai.metrics import TOP
from hearai.sign.hamnosys import MISSING
from hearai.training.outputs.ranks import Ranks, ranks_of

NAN = float("nan")
SCORES_NK = torch.tensor([[9, 8, 7, 6, 5, 4], [1, 2, 3, 4, 5, 6], [0, 9, 0, 0, 0, 0], [6, 5, 4, 3, 2, 1.0]])


def scores_of(scores_NK: torch.Tensor, labels: list[int]) -> dict[str, float | None]:
    labels_N = torch.tensor(labels)
    return Ranks.count(ranks_of(scores_NK, labels_N), labels_N, scores_NK.shape[1]).scores()


def test_ranks_of_a_hand_made_case() -> None:
    found = scores_of(SCORES_NK, [0, 0, 1, 0])  # ranks 1, 6, 1, 1
    assert found["top1"] == 0.75 and found["top5"] == 0.75
    assert found["top1_per_class"] == pytest.approx((2 / 3 + 1) / 2), "the four absent classes are no zeros"
    assert found["mrr"] == pytest.approx((1 + 1 / 6 + 1 + 1) / 4)


def test_top_k_of_at_most_k_classes_has_no_value() -> None:
    few, many = scores_of(SCORES_NK[:, :5], [0, 1, 2, 3]), scores_of(SCORES_NK, [0, 1, 2, 3])
    assert {name for name in TOP if few[name] is None} == {"top5", "top10", "top5_per_class", "top10_per_class"}
    assert {name for name in TOP if many[name] is None} == {"top10", "top10_per_class"}


def test_clips_without_a_label_do_not_count() -> None:
    assert scores_of(SCORES_NK, [0, MISSING, 1, MISSING]) == scores_of(SCORES_NK[[0, 2]], [0, 1])


def test_a_class_that_the_model_lacks_is_never_found() -> None:
    found = scores_of(SCORES_NK, [0, 70, 1, 0])
    assert (found["top5"], found["mrr"]) == (0.75, 0.75)
    assert found["top1_per_class"] == pytest.approx(2 / 3)


def test_equal_scores_are_ordered_as_by_argmax() -> None:
    equal_NK, labels_N = torch.zeros(3, 4), torch.tensor([0, 1, 3])
    assert ranks_of(equal_NK, labels_N).tolist() == [1, 2, 4]
    order_NK = SCORES_NK.argsort(dim=-1, descending=True, stable=True)
    for k in range(6):
        by_sorting = (order_NK == k).int().argmax(-1) + 1
        assert torch.equal(ranks_of(SCORES_NK, torch.full((4,), k)), by_sorting)


def test_a_score_that_is_not_a_number_is_never_a_hit() -> None:
    scores_NK = torch.tensor([[NAN, NAN, NAN], [NAN, 1.0, 0.0]])
    assert ranks_of(scores_NK, torch.tensor([0, 1])).tolist() == [3, 2]


@pytest.mark.heavy
@pytest.mark.parametrize("average", ["micro", "macro"])
def test_top_k_matches_torchmetrics(average: str) -> None:
    from torchmetrics.functional.classification import multiclass_accuracy  # takes seconds

    generator = torch.Generator().manual_seed(0)
    scores_NK = torch.rand(300, 12, generator=generator)
    labels_N = torch.randint(0, 12, (300,), generator=generator)
    found = scores_of(scores_NK, labels_N.tolist())
    for name, k in TOP.items():
        if name.endswith("per_class") == (average == "macro"):
            expected = multiclass_accuracy(scores_NK, labels_N, num_classes=12, top_k=k, average=average)
            assert found[name] == pytest.approx(expected.item(), abs=1e-6)
