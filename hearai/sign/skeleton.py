"""The points of a landmark file in MediaPipe's order: body parts, bones, and mirrored pairs.

Source: MediaPipe's hand landmarker (21 points) and pose landmarker (33 points). "left" and "right" are the signer's.
"""

PARTS = {"left_hand": 21, "right_hand": 21, "pose": 33}
"""{array of a landmark file that models read: number of points}, in the order of the points."""
FACE = "face"
"""An optional array of any number of points. Checked but not read: `pose` has eyes, ears and mouth."""
POINTS = sum(PARTS.values())
LEFT, RIGHT, BODY = 0, 21, 42
"""Index of the first point of the left hand, the right hand and the body."""
SHOULDERS = (BODY + 11, BODY + 12)
CHANNELS = 4
"""x, y, z, and whether the point is known (1 or 0)."""

_HAND = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11), (11, 12)]
_HAND += [(9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (17, 18), (18, 19), (19, 20), (0, 17)]
_BODY = [(0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10), (0, 9), (0, 10), (0, 11)]
_BODY += [(0, 12), (11, 12), (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19), (12, 14), (14, 16)]
_BODY += [(16, 18), (16, 20), (16, 22), (18, 20), (11, 23), (12, 24), (23, 24), (23, 25), (24, 26), (25, 27)]
_BODY += [(26, 28), (27, 29), (28, 30), (29, 31), (30, 32), (27, 31), (28, 32)]

BONES: tuple[tuple[int, int], ...] = (
    *((first + a, first + b) for first in (LEFT, RIGHT) for a, b in _HAND),
    *((BODY + a, BODY + b) for a, b in _BODY),
    (BODY + 15, LEFT),  # a wrist of the body is the first point of its hand
    (BODY + 16, RIGHT),
)
"""Pairs of points connected by a bone; the nose is also connected to the mouth and both shoulders."""

_BODY_PAIRS = {1: 4, 2: 5, 3: 6, **{left: left + 1 for left in range(7, 33, 2)}}


def _mirrored_order() -> tuple[int, ...]:
    order = [*range(RIGHT, RIGHT + 21), *range(LEFT, LEFT + 21), *range(BODY, POINTS)]
    for left, right in _BODY_PAIRS.items():
        order[BODY + left], order[BODY + right] = BODY + right, BODY + left
    return tuple(order)


MIRRORED = _mirrored_order()
"""Point p of a mirrored image is point MIRRORED[p] of the original: left and right are swapped."""

POINT_GROUPS: dict[str, tuple[int, ...]] = {
    "hands": tuple(range(LEFT, BODY)),
    "upper_body": tuple(range(BODY + 11, BODY + 23)),
    "nose": (BODY,),
    "eyes": tuple(range(BODY + 1, BODY + 7)),
    "lips": (BODY + 9, BODY + 10),
}
"""{name of `feature_extractor.points`: indices of its points}. `upper_body` is shoulders, elbows, wrists and the three
knuckles that the pose has of each hand; `lips` are the corners of the mouth, all that it has of them."""
