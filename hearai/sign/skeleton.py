"""The points of a landmark file, in MediaPipe's order: which they are, which bones join them, which are twins.

Source: MediaPipe's hand landmarker (21 points) and pose landmarker (33 points). "left" and "right" are the signer's.
"""

PARTS = {"left_hand": 21, "right_hand": 21, "pose": 33}
"""Arrays of a landmark file that models read -> their number of points, in the order in which they are read."""
FACE = "face"
"""An array of any number of points that may be there too. It is checked and not read: pose has eyes, ears, mouth."""
POINTS = sum(PARTS.values())
LEFT, RIGHT, BODY = 0, 21, 42
"""Number of the first point of the left hand, the right hand and the body."""
SHOULDERS = (BODY + 11, BODY + 12)
CHANNELS = 4
"""x, y, z, and known: 1 or 0."""

_HAND = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11), (11, 12)]
_HAND += [(9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (17, 18), (18, 19), (19, 20), (0, 17)]
_BODY = [(0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10), (0, 9), (0, 10), (0, 11)]
_BODY += [(0, 12), (11, 12), (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19), (12, 14), (14, 16)]
_BODY += [(16, 18), (16, 20), (16, 22), (18, 20), (11, 23), (12, 24), (23, 24), (23, 25), (24, 26), (25, 27)]
_BODY += [(26, 28), (27, 29), (28, 30), (29, 31), (30, 32), (27, 31), (28, 32)]

BONES: tuple[tuple[int, int], ...] = (
    *((first + a, first + b) for first in (LEFT, RIGHT) for a, b in _HAND),
    *((BODY + a, BODY + b) for a, b in _BODY),
    (BODY + 15, LEFT),  # the body's wrists are the hands' first points
    (BODY + 16, RIGHT),
)
"""Pairs of points that a bone joins; the nose also hangs on the mouth and on both shoulders."""

_BODY_TWINS = {1: 4, 2: 5, 3: 6, **{left: left + 1 for left in range(7, 33, 2)}}


def _mirrored_order() -> tuple[int, ...]:
    order = [*range(RIGHT, RIGHT + 21), *range(LEFT, LEFT + 21), *range(BODY, POINTS)]
    for left, right in _BODY_TWINS.items():
        order[BODY + left], order[BODY + right] = BODY + right, BODY + left
    return tuple(order)


MIRRORED = _mirrored_order()
"""Point p of a mirror image is point MIRRORED[p] of the image: left and right change places."""
