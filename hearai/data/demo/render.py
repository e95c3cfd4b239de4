"""One clip of the demo signer: labels in, pictures and landmarks out."""

from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from hearai.data.demo.body import Arm, Posture, posture
from hearai.data.demo.camera import Camera
from hearai.data.demo.draw import arm_parts, paint
from hearai.data.demo.face import FACE_POINTS, draw_head, face_landmarks
from hearai.data.demo.signer import Signer
from hearai.data.demo.stage import light, stage

SMOOTHING = 2
"""Pictures are painted this much larger and reduced, for smooth edges."""

POSE_PAIRS = {"eye": (2, 5), "ear": (7, 8), "mouth": (9, 10), "shoulder": (11, 12), "elbow": (13, 14)}
POSE_HANDS = ((15, 17, 19, 21), (16, 18, 20, 22))
"""MediaPipe pose points of the (left, right) hand: wrist, little finger, index, thumb."""


def render_clip(
    labels: Mapping[str, int], signer: Signer, *, frames: int, size: int, rng: np.random.Generator
) -> tuple[list[Image.Image], dict[str, np.ndarray]]:
    """Pictures (size x size, RGB) and landmarks of a signer showing the labels.

    `labels` maps the heads of `hearai.sign.hamnosys.HEADS` to classes. Landmarks: `face` (T, F, 3; the
    points FACE_POINTS), `left_hand`, `right_hand` (T, 21, 3), `pose` (T, 33, 3), float32, x and y as fractions of
    the picture, z smaller = nearer. Drawn right-handed; a left-handed signer is the mirror picture.
    """
    scene = posture(labels, signer, frames=frames, rng=rng)
    pixels = size * SMOOTHING
    camera = Camera(signer, pixels)
    parts = arm_parts(scene.dominant, signer, camera=camera, watch=False)
    parts += arm_parts(scene.other, signer, camera=camera, watch=True)
    lamp = Image.merge("RGB", [light(signer, size)] * 3)
    pictures = []
    for frame, back in enumerate(_backs(scene, signer, camera=camera, pixels=pixels)):
        picture = back.copy()
        paint(ImageDraw.Draw(picture), parts, frame=frame)
        picture = ImageChops.multiply(picture.reduce(SMOOTHING), lamp)
        pictures.append(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if signer.left_handed else picture)
    marks = _landmarks(scene, signer, camera=camera)
    return pictures, _mirrored(marks) if signer.left_handed else marks


def _backs(scene: Posture, signer: Signer, *, camera: Camera, pixels: int) -> Iterator[Image.Image]:
    """Everything behind the arms, frame by frame; once the posture is reached the head keeps still."""
    room = stage(signer, pixels, shrug=0.10 if scene.place == 12 else 0.0)
    held = None
    for frame, progress in enumerate(scene.progress.tolist()):
        if held is None or progress < 1:
            picture = room.copy()
            draw_head(ImageDraw.Draw(picture), scene, signer=signer, camera=camera, frame=frame)
            held = picture if progress == 1 else None
        yield held or picture


def _landmarks(scene: Posture, signer: Signer, *, camera: Camera) -> dict[str, np.ndarray]:
    """Landmark arrays of a right-handed signer."""
    see = camera.landmark
    face = see(face_landmarks(scene, signer))
    index = {name: i for i, name in enumerate(FACE_POINTS)}
    arms: tuple[Arm, Arm] = (scene.other, scene.dominant)
    pose = np.full((len(face), 33, 3), np.nan, np.float32)
    pose[:, 0] = face[:, index["nose"]]
    for k, (side, arm) in enumerate(zip(("left", "right"), arms, strict=True)):
        for part in ("eye", "ear", "mouth"):
            pose[:, POSE_PAIRS[part][k]] = face[:, index[f"{side}_{part}"]]
        pose[:, POSE_PAIRS["shoulder"][k]] = see(arm.shoulder)
        pose[:, POSE_PAIRS["elbow"][k]] = see(arm.elbow)
        pose[:, POSE_HANDS[k]] = see(arm.joints[:, [0, 17, 5, 4]])
    return {"face": face, "left_hand": see(arms[0].joints), "right_hand": see(arms[1].joints), "pose": pose}


def _mirrored(marks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Landmarks of the mirror picture: x turned round, right and left exchanged."""
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
