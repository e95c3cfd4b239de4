"""Temperatures and the calibration error, against figures that can be worked out by hand."""

import math

import pytest
import torch

from hearai.sign.hamnosys import MISSING
from hearai.training.inference.calibration import (
    HIGHEST,
    calibrated,
    calibration_error,
    fit_temperature,
    fit_temperatures,
)


def overconfident(clips: int, factor: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, 4) that are `factor` times those from whose probabilities the labels were drawn."""
    generator = torch.Generator().manual_seed(0)
    logits_NK = torch.randn(clips, 4, generator=generator, dtype=torch.float64) * 2
    labels_N = torch.multinomial(logits_NK.softmax(-1), 1, generator=generator).squeeze(1)
    return logits_NK * factor, labels_N


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_the_temperature_undoes_a_known_factor(factor: float):
    logits_NK, labels_N = overconfident(20_000, factor)
    assert fit_temperature(logits_NK, labels_N) == pytest.approx(factor, rel=0.05)


def test_calibrated_probabilities_have_the_smaller_error():
    logits_NK, labels_N = overconfident(5_000, 3.0)
    before, after = (
        calibration_error(calibrated(logits_NK, t), labels_N) for t in (1.0, fit_temperature(logits_NK, labels_N))
    )
    assert before > 0.1 > 0.03 > after


def test_a_temperature_keeps_the_order_of_classes():
    logits_NK, _ = overconfident(200, 5.0)
    for temperature in (0.3, 1.0, 4.0):
        ordered_NK = calibrated(logits_NK, temperature).gather(-1, logits_NK.argsort(-1))
        assert (ordered_NK.diff(dim=-1) >= 0).all()


def test_a_few_clips_that_are_all_right_give_no_certainty():
    logits_NK = torch.eye(3).repeat(4, 1) * 2
    probabilities_NK = calibrated(logits_NK, fit_temperature(logits_NK, torch.arange(3).repeat(4)))
    assert probabilities_NK.max() == pytest.approx(1 - (2 / 3) / 13, abs=1e-3), "one clip in 13 was of any class"


def test_logits_that_say_nothing_get_the_highest_temperature():
    wrong_NK = torch.eye(3).repeat(4, 1)
    assert fit_temperature(wrong_NK, torch.tensor([1, 2, 0]).repeat(4)) == HIGHEST


def test_only_heads_with_enough_labels_have_temperatures():
    logits_NK, labels_N = overconfident(100, 1.0)
    none, few = torch.full_like(labels_N, MISSING), torch.where(torch.arange(100) < 19, labels_N, MISSING)
    labels = {"a": labels_N, "none": none, "few": few}
    assert set(fit_temperatures(dict.fromkeys(labels, logits_NK), labels)) == {"a"}
    half = torch.where(torch.arange(100) < 50, labels_N, MISSING)
    assert fit_temperatures({"a": logits_NK}, {"a": half})["a"] == fit_temperature(logits_NK[:50], labels_N[:50])


def test_the_error_is_the_mean_gap_weighted_by_clips():
    probabilities_NK = torch.tensor([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 2)
    labels_N = torch.tensor([0, 0, 0, 1, 1, MISSING])
    assert calibration_error(probabilities_NK, labels_N) == pytest.approx((4 * 0.15 + 1 * 0.4) / 5)
    assert calibration_error(probabilities_NK, torch.full((6,), MISSING)) is None
    assert calibration_error(probabilities_NK[:1], torch.tensor([7])) == pytest.approx(0.9), "a class it does not have"
    assert math.isclose(calibration_error(torch.tensor([[1.0, 0.0]]), torch.tensor([0])), 0)
