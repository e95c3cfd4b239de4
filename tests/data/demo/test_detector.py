"""The errors of a landmark detector in the demo data."""

from pathlib import Path

import numpy as np
import pytest

from hearai.data.demo import demo_dataset
from hearai.data.demo.detector import FINDS, HANDS, JITTER, LOSES, SWAPS, detected


def marks(frames: int = 4000) -> dict[str, np.ndarray]:
    """Hands at rest, the left one at 0 and the right one at 1."""
    zeros = {
        "left_hand": (frames, 21, 3),
        "right_hand": (frames, 21, 3),
        "pose": (frames, 33, 3),
        "face": (frames, 5, 3),
    }
    arrays = {name: np.zeros(shape, np.float32) for name, shape in zeros.items()}
    arrays["right_hand"] += 1
    arrays["pose"][:, 25:] = np.nan
    return arrays


def test_rates_of_errors_are_as_stated() -> None:
    found = detected(marks(), np.random.default_rng(0))
    for hand in HANDS:
        lost_T = np.isnan(found[hand]).all((1, 2))
        assert np.isnan(found[hand]).any((1, 2)).tolist() == lost_T.tolist(), "a hand is lost with all its points"
        assert abs(lost_T.mean() - LOSES / (LOSES + FINDS)) < 0.04
        swapped_T = np.abs(found[hand].mean((1, 2)) - (hand == "right_hand")) > 0.5
        assert abs(swapped_T[~lost_T].mean() - SWAPS) < 0.015
    assert np.allclose(found["pose"][:, :25].std((0, 1)), JITTER, rtol=0.05)
    assert np.isnan(found["pose"][:, 25:]).all() and found["face"].dtype == np.float32


@pytest.mark.heavy
def test_same_images_and_labels_with_other_landmarks(tmp_path: Path) -> None:
    tiny = {"clips": 4, "frames": 3, "size": 16, "workers": 1}
    exact, noisy = demo_dataset(tmp_path, **tiny), demo_dataset(tmp_path, **tiny, landmarks="detected")
    assert exact != noisy and demo_dataset(tmp_path, **tiny, landmarks="detected") == noisy
    for path in exact.rglob("*.*"):
        same = path.read_bytes() == (noisy / path.relative_to(exact)).read_bytes()
        assert same is (path.suffix != ".npz"), path
