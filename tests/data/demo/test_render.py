"""Rendered clips show their labels: in the images and in the landmarks."""

import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from hearai.data.demo.build import SIGNERS
from hearai.data.demo.landmarks import FACE_POINTS
from hearai.data.demo.render import render_clip
from hearai.data.demo.signer import Signer, make_signers
from hearai.sign.hamnosys import FINGER_DIRECTIONS, HEADS, PALM_NORMALS

CAST = make_signers(SIGNERS)
RIGHT_HANDED = next(s for s in CAST if not s.left_handed)


def show(signer: Signer = RIGHT_HANDED, *, frames: int = 1, **labels: int) -> tuple[list[Image.Image], dict]:
    """Images and landmarks of a flat hand in front of the chest, palm out, with some labels changed."""
    all_labels = dict.fromkeys(HEADS, 0) | {
        "hand_shape_base_form": 1,
        "hand_position_palm_orientation": 4,
        "hand_location_y": 14,
    }
    rng = np.random.default_rng(0)
    return render_clip(all_labels | labels, signer, frames=frames, size=128, rng=rng)


def dominant_hand(marks: dict[str, np.ndarray]) -> np.ndarray:
    """Joints (21, 3) of a right-handed signer's signing hand in signer space axes (x right, y up, z out)."""
    return marks["right_hand"][-1] * (-1, -1, -1)


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def test_left_handed_signer_is_the_mirror_image() -> None:
    twin = replace(RIGHT_HANDED, left_handed=True)
    images, marks = show(frames=3, hand_location_x=3, symmetry_operator=6)
    mirrored, marks_twin = show(twin, frames=3, hand_location_x=3, symmetry_operator=6)
    for a, b in zip(images, mirrored, strict=True):
        assert ImageOps.mirror(a).tobytes() == b.tobytes()
    turn, shift = (-1, 1, 1), (1, 0, 0)
    np.testing.assert_allclose(marks_twin["left_hand"], marks["right_hand"] * turn + shift, atol=1e-6)
    np.testing.assert_allclose(marks_twin["pose"][:, 13], marks["pose"][:, 14] * turn + shift, atol=1e-6)
    right, left = list(FACE_POINTS).index("right_eye"), list(FACE_POINTS).index("left_eye")
    np.testing.assert_allclose(marks_twin["face"][:, left], marks["face"][:, right] * turn + shift, atol=1e-6)


@pytest.mark.parametrize("direction", range(len(FINGER_DIRECTIONS)))
@pytest.mark.parametrize("palm", [0, 3, 6])
def test_hand_points_and_faces_as_labelled(direction: int, palm: int) -> None:
    level = replace(RIGHT_HANDED, yaw=0, pitch=0, roll=0)
    _, marks = show(level, hand_position_finger_direction=direction, hand_position_palm_orientation=palm)
    hand = dominant_hand(marks)
    along = unit(hand[9] - hand[0])
    across = unit(hand[5] - hand[17])  # towards the thumb
    # within tilt and perspective
    assert along @ FINGER_DIRECTIONS[direction] > 0.85
    assert np.cross(along, across) @ PALM_NORMALS[direction][palm] > 0.8


@pytest.mark.heavy
def test_palm_and_back_look_different_on_every_skin() -> None:
    for signer in CAST[:8]:
        shades = []
        for palm in (4, 0):
            (image,), marks = show(signer, hand_position_palm_orientation=palm)
            hand = marks["left_hand" if signer.left_handed else "right_hand"][0]
            x, y = ((hand[0] + hand[9]) / 2 * 128)[:2].astype(int)
            shades.append(np.asarray(image)[y - 4 : y + 5, x - 4 : x + 5].mean())
        assert shades[0] > 1.15 * shades[1]


@pytest.mark.heavy
@pytest.mark.parametrize("head", HEADS)
def test_every_class_of_a_head_looks_different(head: str) -> None:
    images = []
    for c in HEADS[head].classes[head == "hand_location_y" :]:  # y class 0 means the chest, as 14 does
        (image,), marks = show(**{"hand_shape_base_form": 5} | {head: c.index})
        if head.startswith(("hand_shape", "hand_position")):
            x, y = marks["right_hand"][0, 9, :2] * 128
            image = image.crop((x - 28, y - 28, x + 28, y + 28))
        images.append(np.asarray(image.resize((24, 24)), float))
    for i, a in enumerate(images):
        for b in images[:i]:
            assert np.abs(a - b).mean() > 0.9


def test_two_hands_are_mirrored_or_parallel() -> None:
    for symmetry, side in ((7, -1), (8, 1)):
        labels = {"symmetry_operator": symmetry, "hand_position_finger_direction": 7}
        _, marks = show(**labels)
        right, left = (unit(marks[f"{s}_hand"][0, 9] - marks[f"{s}_hand"][0, 0]) for s in ("right", "left"))
        assert right * (side, 1, 1) @ left > 0.9


@pytest.mark.heavy
def test_alternating_hands_differ_in_posture_and_motion() -> None:
    for symmetry, axis in ((5, 1), (6, 1), (3, 2), (4, 2)):
        _, marks = show(frames=12, symmetry_operator=symmetry)
        right, left = (marks[f"{s}_hand"][5:, 9, axis] for s in ("right", "left"))
        assert np.abs(right - left).mean() > 0.1
        assert np.corrcoef(right, left)[0, 1] < -0.5


def test_x_classes_are_separate_and_in_order() -> None:
    places = [show(hand_location_x=x)[1]["right_hand"][0, 9, 0] for x in (3, 4, 0, 2, 1)]
    assert min(np.diff(places)) > 0.08  # of the image's width, signer's right first


def test_places_are_ordered_from_top_to_bottom() -> None:
    index = {"hand_shape_base_form": 2}
    heights = [show(hand_location_y=y, **index)[1]["right_hand"][0, 8, 1] for y in (3, 17, 18, 4, 6, 11)]
    assert min(np.diff(heights)) > 0.03
    heights = [show(hand_location_y=y)[1]["right_hand"][0, 9, 1] for y in (1, 2, 13, 14, 15, 16)]
    assert min(np.diff(heights)) > 0.05


def test_clips_start_at_rest_and_hold_the_posture() -> None:
    images, marks = show(frames=8)
    wrist = marks["right_hand"][:, 0]
    steps = np.linalg.norm(np.diff(wrist, axis=0), axis=-1)
    assert steps[:2].sum() > 0.2  # from the hip to the chest
    assert steps[3:].max() < 0.05
    assert steps[3:].min() > 0
    assert images[3].tobytes() != images[4].tobytes()


def test_pose_follows_mediapipe_without_legs() -> None:
    _, marks = show(frames=2)
    assert np.isnan(marks["pose"][:, 23:]).all()
    np.testing.assert_array_equal(marks["pose"][:, 15], marks["left_hand"][:, 0])
    np.testing.assert_array_equal(marks["pose"][:, 16], marks["right_hand"][:, 0])
    assert (marks["pose"][:, 11, 0] > marks["pose"][:, 12, 0]).all()  # left shoulder, right in the image
    for name in ("face", "left_hand", "right_hand"):
        assert np.isfinite(marks[name]).all()


@pytest.mark.heavy
def test_renders_150_frames_per_second_on_one_core() -> None:
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        show(frames=40)
        best = max(best, 40 / (time.process_time() - start))
    assert best > 150
