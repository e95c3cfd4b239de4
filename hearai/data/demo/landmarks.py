"""The landmark arrays of a clip: points of face, hands and pose, in the order of MediaPipe where it has one."""

import numpy as np

from hearai.data.demo.body import Posture, head_points
from hearai.data.demo.camera import Camera
from hearai.data.demo.places import Expression, Point
from hearai.data.demo.signer import Signer

# T frames, F face points; head coordinates are signer space with the head upright: top y 1.1, chin y 0.26

HALF_WIDTH, HALF_HEIGHT, DEPTH = 0.35, 0.42, 0.34
MIDDLE = np.array((0.0, 0.68, 0.03))


def on_face(x: float, y: float, *, lift: float = 0.0) -> Point:
    """The point of the face's surface in front of (x, y), `lift` above it."""
    inside = 1 - (x / HALF_WIDTH) ** 2 - ((y - MIDDLE[1]) / HALF_HEIGHT) ** 2
    return x, y, float(MIDDLE[2] + DEPTH * np.sqrt(max(inside, 0.0)) + lift)


FACE_POINTS: dict[str, tuple[float, float, float]] = {
    "top": (0, 1.10, 0.03),
    "forehead": on_face(0, 0.90),
    "nose": on_face(0, 0.57, lift=0.10),
    "chin": on_face(0, 0.29),
    "right_ear": (0.36, 0.64, 0.0),
    "left_ear": (-0.36, 0.64, 0.0),
    "right_eye": on_face(0.14, 0.70),
    "left_eye": on_face(-0.14, 0.70),
    "right_brow": on_face(0.14, 0.80),
    "left_brow": on_face(-0.14, 0.80),
    "right_mouth": on_face(0.11, 0.42),
    "left_mouth": on_face(-0.11, 0.42),
    "upper_lip": on_face(0, 0.435),
    "lower_lip": on_face(0, 0.405),
    "tongue": on_face(0, 0.42),
    "right_upper_lid": on_face(0.145, 0.76),
    "left_upper_lid": on_face(-0.145, 0.76),
    "right_lower_lid": on_face(0.145, 0.64),
    "left_lower_lid": on_face(-0.145, 0.64),
    "right_iris": on_face(0.145, 0.70),
    "left_iris": on_face(-0.145, 0.70),
    "right_nostril": on_face(0.03, 0.525, lift=0.07),
    "left_nostril": on_face(-0.03, 0.525, lift=0.07),
    "right_cheek": on_face(0.22, 0.50),
    "left_cheek": on_face(-0.22, 0.50),
}
"""The points of the `face` landmark array, in this order; right and left are the signer's."""

# How far an expression moves a point: sideways away from the middle, up, out.
MOVES: dict[str, dict[str, tuple[float, float, float]]] = {
    "tongue": {"lower_lip": (0, -0.06, 0), "tongue": (0, -0.18, 0.03)},
    "teeth": {"mouth": (0.05, 0.01, 0), "upper_lip": (0, 0.06, 0), "lower_lip": (0, -0.05, 0)},
    "purse": {"mouth": (-0.05, 0, 0.02), "upper_lip": (0, 0.05, 0.03), "lower_lip": (0, -0.05, 0.03)},
    "flare": {"nostril": (0.03, 0, 0)},
    "nose": {"nose": (0, 0, 0.02)},
    "eyes_shut": {"upper_lid": (0, -0.09, 0), "lower_lid": (0, 0.03, 0)},
    "look": {"iris": (0, 0.035, 0)},
    "brows": {"brow": (0, 0.075, 0), "upper_lid": (0, 0.02, 0)},
    "puff": {"cheek": (0.03, 0, 0.08)},
    "jaw": {"mouth": (0, 0.05, 0), "upper_lip": (0, 0.05, 0), "lower_lip": (0, 0.05, 0), "chin": (0, 0, 0.03)},
}

POSE_PAIRS = {"eye": (2, 5), "ear": (7, 8), "mouth": (9, 10), "shoulder": (11, 12), "elbow": (13, 14)}
POSE_HANDS = ((15, 17, 19, 21), (16, 18, 20, 22))
"""MediaPipe pose points of the (left, right) hand: wrist, little finger, index, thumb."""


def landmarks(posture: Posture, signer: Signer, camera: Camera) -> dict[str, np.ndarray]:
    """`face` (T, F, 3), `left_hand`, `right_hand` (T, 21, 3) and `pose` (T, 33, 3), with the legs NaN."""
    see = camera.landmark
    face = see(_face(posture, signer))
    index = {name: i for i, name in enumerate(FACE_POINTS)}
    arms = (posture.other, posture.dominant)
    pose = np.full((len(face), 33, 3), np.nan, np.float32)
    pose[:, 0] = face[:, index["nose"]]
    for k, (side, arm) in enumerate(zip(("left", "right"), arms, strict=True)):
        for part in ("eye", "ear", "mouth"):
            pose[:, POSE_PAIRS[part][k]] = face[:, index[f"{side}_{part}"]]
        pose[:, POSE_PAIRS["shoulder"][k]] = see(arm.shoulder)
        pose[:, POSE_PAIRS["elbow"][k]] = see(arm.elbow)
        pose[:, POSE_HANDS[k]] = see(arm.joints[:, [0, 17, 5, 4]])
    marks = {"face": face, "left_hand": see(arms[0].joints), "right_hand": see(arms[1].joints), "pose": pose}
    return _mirrored(marks) if signer.left_handed else marks


def _face(posture: Posture, signer: Signer) -> np.ndarray:
    """FACE_POINTS in signer space (T, F, 3), moved by head and expression."""
    points = np.array(list(FACE_POINTS.values()))
    moved = points + posture.progress[:, None, None] * _moves(posture.place.face)
    return head_points(moved, signer, rotation=posture.head)


def _moves(expression: Expression) -> np.ndarray:
    """How far (F, 3) an expression moves the points of the face."""
    moved = np.zeros((len(FACE_POINTS), 3))
    for i, (name, point) in enumerate(FACE_POINTS.items()):
        part = name.removeprefix("right_").removeprefix("left_")
        for feature, moves in MOVES.items():
            if part in moves:
                moved[i] += getattr(expression, feature) * np.array(moves[part]) * (np.sign(point[0]), 1, 1)
    return moved


def _mirrored(marks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Landmarks of the mirror image: x reversed, right and left exchanged."""
    names = list(FACE_POINTS)
    swap = {"right": "left", "left": "right"}
    twins = ["_".join(swap.get(word, word) for word in name.split("_")) for name in names]
    pose_order = np.arange(33)
    for left, right in (*POSE_PAIRS.values(), *zip(*POSE_HANDS, strict=True)):
        pose_order[[left, right]] = right, left
    turned = {
        "face": marks["face"][:, [names.index(t) for t in twins]],
        "left_hand": marks["right_hand"],
        "right_hand": marks["left_hand"],
        "pose": marks["pose"][:, pose_order],
    }
    return {k: np.concatenate([1 - v[..., :1], v[..., 1:]], -1) for k, v in turned.items()}
