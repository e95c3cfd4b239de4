"""The training loss, checked against independent computations."""

import pytest
import torch
import torch.nn.functional as F

from hearai.sign.hamnosys import MISSING
from hearai.training.optim.loss import balanced_weights, head_losses, label_sums, weighted_loss


@pytest.fixture
def batch():
    torch.manual_seed(0)
    logits = {"a": torch.randn(6, 3), "b": torch.randn(6, 5)}
    labels = {"a": torch.tensor([0, 1, 2, 1, MISSING, 0]), "b": torch.full((6,), MISSING)}
    return logits, labels


def test_the_loss_is_the_weighted_mean_over_heads(batch):
    logits, labels = batch
    labels["b"] = torch.tensor([4, 0, MISSING, MISSING, 1, 2])
    sums, counts = head_losses(logits, labels, ["a", "b"], "cross_entropy")
    a, b = (F.cross_entropy(logits[h], labels[h], ignore_index=MISSING) for h in "ab")
    assert torch.allclose(weighted_loss(sums, counts, torch.tensor([1.0, 3.0])), (a + 3 * b) / 4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["cross_entropy", "bce"])
def test_a_head_without_labels_adds_nothing_and_no_nan(batch, kind, smoothing):
    logits, labels = batch
    logits = {head: x.requires_grad_() for head, x in logits.items()}
    sums, counts = head_losses(logits, labels, ["a", "b"], kind, smoothing=smoothing)
    loss = weighted_loss(sums, counts, torch.ones(2))
    loss.backward()
    assert sums[1] == 0 and counts.tolist() == [5, 0]
    assert loss.isfinite() and logits["b"].grad.eq(0).all()
    assert logits["a"].grad[4].eq(0).all(), "a MISSING label gives no gradient"


def test_bce_is_the_binary_loss_on_one_hot_labels(batch):
    logits, labels = batch
    known = labels["a"] != MISSING
    expected = F.binary_cross_entropy_with_logits(
        logits["a"][known], F.one_hot(labels["a"][known], 3).float(), reduction="none"
    )
    sums, _ = head_losses(logits, labels, ["a"], "bce")
    assert torch.allclose(sums[0], expected.mean(1).sum())


def test_smoothing_distributes_a_share_over_all_classes(batch):
    logits, labels = batch
    known = labels["a"] != MISSING
    target = torch.full((5, 3), 0.3 / 3) + 0.7 * F.one_hot(labels["a"][known], 3)
    crossed, _ = head_losses(logits, labels, ["a"], "cross_entropy", smoothing=0.3)
    assert torch.allclose(crossed[0], -(target * logits["a"][known].log_softmax(-1)).sum())
    binary, _ = head_losses(logits, labels, ["a"], "bce", smoothing=0.3)
    expected = F.binary_cross_entropy_with_logits(logits["a"][known], target, reduction="none")
    assert torch.allclose(binary[0], expected.mean(1).sum())


WEIGHTS = {"a": torch.tensor([0.2, 3.0, 0.5]), "b": torch.tensor([0.1, 1.0, 2.0, 0.0, 0.3])}


def test_class_weights_match_torch(batch):
    logits, labels = batch
    sums, divisors = head_losses(logits, labels, ["a"], "cross_entropy", class_weights=WEIGHTS)
    expected = F.cross_entropy(logits["a"], labels["a"], WEIGHTS["a"], ignore_index=MISSING)
    assert torch.allclose(weighted_loss(sums, divisors, torch.ones(1)), expected)


@pytest.mark.parametrize("kind", ["cross_entropy", "bce"])
def test_weight_two_equals_having_the_clip_twice(batch, kind):
    """Smoothing included."""
    logits, labels = batch
    twice = torch.tensor([0, 1, 1, 2, 3, 3, 4, 5])  # the clips of class 1
    weights = {"a": torch.tensor([1.0, 2.0, 1.0])}
    weighted = head_losses(logits, labels, ["a"], kind, smoothing=0.2, class_weights=weights)
    repeated = head_losses({"a": logits["a"][twice]}, {"a": labels["a"][twice]}, ["a"], kind, smoothing=0.2)
    assert torch.allclose(weighted[0], repeated[0]) and torch.equal(weighted[1], repeated[1].float())


def test_the_loss_is_divided_by_the_sum_of_label_weights():
    logits, labels = {"a": torch.randn(2, 3)}, {"a": torch.tensor([0, MISSING])}
    sums, divisors = head_losses(logits, labels, ["a"], "cross_entropy", class_weights=WEIGHTS)
    assert divisors.item() == pytest.approx(0.2), "less than one"
    expected = F.cross_entropy(logits["a"][:1], labels["a"][:1])
    assert torch.allclose(weighted_loss(sums, divisors, torch.ones(1)), expected)


def test_balanced_weights_are_inverse_to_the_frequency():
    labels = [0] * 6 + [2] * 3 + [3] + [MISSING] * 5
    weights = balanced_weights(labels, 5)
    assert torch.allclose(weights, torch.tensor([10 / 18, 0, 10 / 9, 10 / 3, 0]))
    assert weights[[label for label in labels if label != MISSING]].mean().item() == pytest.approx(1)
    assert balanced_weights([MISSING], 3).tolist() == [0, 0, 0], "a head without labels"


def test_a_head_without_training_labels_adds_no_nan(batch):
    logits, labels = batch
    weights = {"a": WEIGHTS["a"], "b": balanced_weights(labels["b"].tolist(), 5)}
    loss = weighted_loss(*head_losses(logits, labels, ["a", "b"], "bce", class_weights=weights), torch.ones(2))
    assert loss.isfinite()


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "class weights"])
def test_parts_sum_to_the_loss_and_gradient_of_the_batch(batch, weights):
    """As two workers do: each divides by the global sums, and DDP averages their gradients."""
    logits, labels = batch
    labels["b"] = torch.tensor([4, MISSING, MISSING, MISSING, 1, 2])
    head_weights, options = torch.tensor([1.0, 3.0]), {"smoothing": 0.1, "class_weights": weights}
    complete = {head: x.clone().requires_grad_() for head, x in logits.items()}
    sums, divisors = head_losses(complete, labels, ["a", "b"], "cross_entropy", **options)
    assert torch.equal(divisors, label_sums(labels, ["a", "b"], weights))
    loss = weighted_loss(sums, divisors, head_weights)
    loss.backward()
    total = 0
    for part in (slice(0, 2), slice(2, 6)):
        piece = {head: x[part].clone().requires_grad_() for head, x in logits.items()}
        sums, _ = head_losses(piece, {h: y[part] for h, y in labels.items()}, ["a", "b"], "cross_entropy", **options)
        share = weighted_loss(sums, divisors, head_weights)
        share.backward()
        total += share.item()
        for head in "ab":
            assert torch.allclose(piece[head].grad, complete[head].grad[part], atol=1e-7)
    assert total == pytest.approx(loss.item(), abs=1e-6)
