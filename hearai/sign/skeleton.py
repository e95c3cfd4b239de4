"""The points of a landmark file in MediaPipe's order: body parts, bones, mirrored pairs, and chosen points of the face.

Source: MediaPipe's hand landmarker (21 points), pose landmarker (33 points) and face mesh (468 points, or 478 with the
irises). "left" and "right" are the signer's. The points of the face are those that the first place of Kaggle "Google -
Isolated Sign Language Recognition" 2023 chose (https://www.kaggle.com/competitions/asl-signs/discussion/406684).
"""

PARTS = {"left_hand": 21, "right_hand": 21, "pose": 33}
"""{array of a landmark file that models read: number of points}, in the order of the points."""
FACE = "face"
"""An optional array of any number of points; models read `FACE_POINTS` of it if it is a face mesh."""
SMALL_MESH, LARGE_MESH = 468, 478
"""Points of the mesh without and with the irises."""
POINTS = sum(PARTS.values())
"""Points of hands and body; those of the face follow where a model reads them."""
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

_RIGHT_LIPS = (84, 181, 91, 146, 61, 185, 40, 39, 37, 87, 178, 88, 95, 78, 191, 80, 81, 82)
_LEFT_LIPS = (314, 405, 321, 375, 291, 409, 270, 269, 267, 317, 402, 318, 324, 308, 415, 310, 311, 312)
_RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173)
_LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
FACE_PARTS: dict[str, tuple[int, ...]] = {
    "face_lips": (0, 13, 14, 17, *_RIGHT_LIPS, *_LEFT_LIPS),
    "face_nose": (1, 2, 98, 327),
    "face_eyes": (*_RIGHT_EYE, *_LEFT_EYE),
}
"""{name: numbers of its points in the face mesh}."""
FACE_POINTS = tuple(number for part in FACE_PARTS.values() for number in part)
"""Mesh numbers of the points of the face, in the order in which they follow hands and body."""


def count_points(*, face: bool) -> int:
    """Points of a frame as models get them: hands and body, and `FACE_POINTS` if the model reads the face."""
    return POINTS + len(FACE_POINTS) * face


_BODY_PAIRS = {1: 4, 2: 5, 3: 6, **{left: left + 1 for left in range(7, 33, 2)}}


def _mirrored_order() -> tuple[int, ...]:
    order = [*range(RIGHT, RIGHT + 21), *range(LEFT, LEFT + 21), *range(BODY, POINTS)]
    for left, right in _BODY_PAIRS.items():
        order[BODY + left], order[BODY + right] = BODY + right, BODY + left
    pairs = [*zip(_RIGHT_LIPS, _LEFT_LIPS, strict=True), *zip(_RIGHT_EYE, _LEFT_EYE, strict=True), (98, 327)]
    other_side = {**dict(pairs), **{left: right for right, left in pairs}}
    order += [POINTS + FACE_POINTS.index(other_side.get(number, number)) for number in FACE_POINTS]
    return tuple(order)


def _face_groups() -> dict[str, tuple[int, ...]]:
    return {name: tuple(POINTS + FACE_POINTS.index(number) for number in part) for name, part in FACE_PARTS.items()}


MIRRORED = _mirrored_order()
"""Point p of a mirrored image is point MIRRORED[p] of the original: left and right are swapped. The face comes last."""

BODY_GROUPS: dict[str, tuple[int, ...]] = {
    "hands": tuple(range(LEFT, BODY)),
    "upper_body": tuple(range(BODY + 11, BODY + 23)),
    "nose": (BODY,),
    "eyes": tuple(range(BODY + 1, BODY + 7)),
    "lips": (BODY + 9, BODY + 10),
}
"""{name: indices of its points} in hands and body. `upper_body` is shoulders, elbows, wrists and the three knuckles
that the pose has of each hand; `lips` are the corners of the mouth, all that it has of them."""
POINT_GROUPS: dict[str, tuple[int, ...]] = {**BODY_GROUPS, **_face_groups()}
"""{name of `feature_extractor.points`: indices of its points}; `FACE_PARTS` are read from the face mesh."""
