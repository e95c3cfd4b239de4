"""Skeletons of other tools: which of their points is which of ours.

Sources: MediaPipe Holistic, OpenPose BODY_25 with hands, and COCO-WholeBody, each in its published order.
"""

import re
from collections.abc import Sequence

from hearai.data.landmarks.points import FACE_MESH, TARGETS, UNREAD
from hearai.sign.skeleton import BODY, LARGE_MESH, LEFT, RIGHT, SMALL_MESH

LEFT_HAND, RIGHT_HAND, POSE = range(LEFT, RIGHT), range(RIGHT, BODY), range(BODY, BODY + 33)


def unread(count: int) -> list[int]:
    """Targets of points that have no place in our order."""
    return [UNREAD] * count


def mesh(count: int) -> range:
    """Targets of MediaPipe's face mesh: SMALL_MESH points, or LARGE_MESH with the irises."""
    return range(FACE_MESH, FACE_MESH + count)


KAGGLE = [*mesh(SMALL_MESH), *LEFT_HAND, *POSE, *RIGHT_HAND]
"""543 points of MediaPipe Holistic as Kaggle ASL Signs has them: face, left hand, pose, right hand."""
SEM_LEX = [*mesh(LARGE_MESH), *POSE, *LEFT_HAND, *RIGHT_HAND]
"""553 points of Sem-Lex: face with irises, pose, left hand, right hand."""

BODY_25 = (
    *("Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee"),
    *("RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel"),
    *("RBigToe", "RSmallToe", "RHeel"),
)
"""OpenPose's names of the body points, in order."""
COCO_BODY = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    *("right_ankle", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)
"""COCO-WholeBody's names of the body and feet points, in order."""
RIGHT_MOUTH, LEFT_MOUTH = 48, 54
"""Corners of the mouth among 68 or 70 points of a face; right is the signer's right."""
_OTHER_NAMES = {"big_toe": "foot_index", "bigtoe": "foot_index"}


def body_target(name: str) -> int:
    """The target of a body point by its name: MediaPipe's, OpenPose's or COCO's spelling; UNREAD if we have none."""
    if openpose := re.fullmatch(r"([LR])([A-Z][a-z]\w*)", name):
        name = f"{'left' if openpose[1] == 'L' else 'right'}_{openpose[2]}"
    name = name.lower()
    side, _, part = name.partition("_")
    return TARGETS.get(f"pose.{side}_{_OTHER_NAMES[part]}" if part in _OTHER_NAMES else f"pose.{name}", UNREAD)


def face_targets(count: int) -> list[int]:
    """Targets of a face: the corners of the mouth, where it has the 68 or 70 points of OpenPose and COCO."""
    targets = unread(count)
    if count in (68, 70):
        targets[RIGHT_MOUTH], targets[LEFT_MOUTH] = TARGETS["pose.mouth_right"], TARGETS["pose.mouth_left"]
    return targets


def mesh_targets(names: Sequence[str]) -> list[int]:
    """Targets of mesh points by their names, which are their numbers; `.pose` files may have some of them only."""
    numbers = [int(name) if re.fullmatch("[0-9]{1,3}", name) else LARGE_MESH for name in names]
    return [FACE_MESH + number if number < LARGE_MESH else UNREAD for number in numbers]


def body_targets(names: Sequence[str]) -> list[int]:
    """Targets of body points by their names."""
    return [body_target(name) for name in names]


WHOLE_BODY = [*body_targets(COCO_BODY), *face_targets(68), *LEFT_HAND, *RIGHT_HAND]
"""133 points of COCO-WholeBody: body, feet, face, left hand, right hand."""
