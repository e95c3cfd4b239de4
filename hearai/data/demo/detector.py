"""The errors of a landmark detector: jitter, hands that are lost for some frames, hands taken for the other one.

T frames. The rates are plausible; they are not fitted to a detector.
"""

import numpy as np

JITTER = np.array([0.008, 0.008, 0.02], np.float32)
"""Standard deviation of x, y and z, as shares of the image; shoulders are about 0.3 apart."""
LOSES, FINDS = 0.1, 0.35
"""Probability per frame that a visible hand is lost, and that a lost one is found again: 22 % of the frames lack it."""
SWAPS = 0.04
"""Probability per frame that the two hands are exchanged."""
HANDS = ("left_hand", "right_hand")


def detected(marks: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The landmark arrays of a clip (see `hearai.data.demo.landmarks`) with these errors; NaN = not detected.

    The points of the body, including its wrists, are always detected.
    """
    noisy = {name: _jittered(points, rng) for name, points in marks.items()}
    frames = len(noisy["pose"])
    swapped_T11 = rng.random((frames, 1, 1)) < SWAPS
    left, right = (noisy[hand] for hand in HANDS)
    noisy["left_hand"] = np.where(swapped_T11, right, left)
    noisy["right_hand"] = np.where(swapped_T11, left, right)
    for hand in HANDS:
        noisy[hand][_lost(frames, rng)] = np.nan
    return noisy


def _jittered(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (points + JITTER * rng.standard_normal(points.shape)).astype(np.float32)


def _lost(frames: int, rng: np.random.Generator) -> np.ndarray:
    """(T,), true where a hand is not detected: a Markov chain that starts in its steady state."""
    draws_T = rng.random(frames)
    lost_T = np.zeros(frames, bool)
    lost = rng.random() < LOSES / (LOSES + FINDS)
    for i, draw in enumerate(draws_T):
        lost_T[i] = lost
        lost = draw >= FINDS if lost else draw < LOSES
    return lost_T
