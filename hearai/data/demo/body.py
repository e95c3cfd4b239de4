"""The posture of a demo signer: from labels to the joints of hands, arms and head in every frame."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hearai.data.demo.hand import RELAXED, HandShape, hand_axes, hand_points, hand_shape
from hearai.data.demo.places import (
    ARM_PLACES,
    LEAD,
    PAIR,
    PALM,
    PLACES,
    SYMMETRY,
    ArmPlace,
    Place,
    TwoHands,
    side_offset,
)
from hearai.data.demo.signer import Signer
from hearai.sign.hamnosys import FINGER_DIRECTIONS, PALM_NORMALS

# T frames; points are (x, y, z) in signer space (see places)

HAND = 0.88
"""Length of the (stylised, large) hand."""
UPPER_ARM, FOREARM = 0.86, 0.80
SHOULDER = np.array((0.60, -0.06, 0.0))
NECK = np.array((0.0, 0.36, 0.0))
REST = np.array((0.80, -1.50, 0.22))
MIRROR = np.array((-1.0, 1.0, 1.0))
SHRUG = 0.13
ON_OTHER_ARM = Place((0, 0, 0), on_head=False)


@dataclass(frozen=True)
class Arm:
    """One arm over the frames: joints (T, 21, 3), pads (T, 15, 3), axes (T, 3, 3), elbow, shoulder (T, 3)."""

    joints: np.ndarray
    pads: np.ndarray
    axes: np.ndarray
    elbow: np.ndarray
    shoulder: np.ndarray
    size: float
    """Length of the hand."""


@dataclass(frozen=True)
class Posture:
    """A right-handed signer over the frames: the signing arm, the other arm, head rotations (T, 3, 3)."""

    dominant: Arm
    other: Arm
    head: np.ndarray
    progress: np.ndarray
    """(T,) 0 at rest .. 1 posture reached."""
    place: Place


def posture(labels: Mapping[str, int], signer: Signer, *, frames: int, rng: np.random.Generator) -> Posture:
    """The posture that the labels describe, approached from rest within about a third of the frames, then held."""
    progress = _approach(frames, rng.uniform(-0.2, 0.2))
    location = labels["hand_location_y"] or 14
    place = PLACES.get(location, ON_OTHER_ARM)
    two = SYMMETRY.get(labels["symmetry_operator"])
    body = _Body(signer, place, progress)
    shape = hand_shape(
        labels["hand_shape_base_form"], labels["hand_shape_thumb_position"], bending=labels["hand_shape_bending"]
    )
    along, palm = _directions(labels, rng)
    hold = _Hold(shape, along, palm, np.zeros(3), flex=float(rng.normal(0, 2.5)))
    sway = _sway(frames, two, rng=rng)
    other = None
    if location in ARM_PLACES:
        other = _presenting(ARM_PLACES[location], body)
        place = replace(place, point=_touched(ARM_PLACES[location], other))
    target = _target(place, labels["hand_location_x"], two_handed=two is not None, body=body)
    hold = replace(hold, wrist=_wrist(target, place, hold=hold, size=body.size) + rng.normal(0, 0.015, 3))
    if two:
        other = _arm(_second(hold, two), body, sway=_second_sway(sway, two), left=True, late=not two.mirrored)
        hold = replace(hold, wrist=hold.wrist + (0, 0, two.behind * 0.65))
    dominant = _arm(hold, body, sway=sway)
    return Posture(dominant, other or _resting(body), body.head, progress, place)


@dataclass(frozen=True)
class _Hold:
    """How a hand is held: its shape, finger direction, palm normal and wrist point, as a right hand."""

    shape: HandShape
    along: np.ndarray
    palm: np.ndarray
    wrist: np.ndarray
    flex: float = 0.0


class _Body:
    """What both arms share: shoulder (T, 3), head rotations (T, 3, 3), hand length."""

    def __init__(self, signer: Signer, place: Place, progress: np.ndarray):
        self.signer, self.progress = signer, progress
        self.size = HAND * signer.hand
        lift = progress[:, None] * np.array((0, SHRUG if place.shrug else 0.0, 0))
        self.shoulder = SHOULDER * (signer.shoulders, 1, 1) + lift
        self.head = _head_rotation(place.head, progress)


def _approach(frames: int, early: float) -> np.ndarray:
    """(T,) 0 at rest .. 1 posture reached: smooth over the first third, at most four frames."""
    span = min(max(frames * 0.3, 0.5), 4.0)
    t = ((np.arange(frames) + 0.45 + early) / span).clip(0, 1)
    t[-1] = 1.0
    return t * t * (3 - 2 * t)


def _head_rotation(pose: tuple[float, float, float], progress: np.ndarray) -> np.ndarray:
    """(T, 3, 3) rotations for yaw (to the signer's right), pitch (up), roll (to the right) in degrees."""
    yaw, pitch, roll = (np.radians(a) * progress for a in pose)
    zero, one = np.zeros_like(progress), np.ones_like(progress)

    def matrix(*rows: tuple[np.ndarray, ...]) -> np.ndarray:
        return np.stack([np.stack(r, -1) for r in rows], -2)

    cos, sin = np.cos, np.sin
    turn = matrix((cos(yaw), zero, sin(yaw)), (zero, one, zero), (-sin(yaw), zero, cos(yaw)))
    nod = matrix((one, zero, zero), (zero, cos(pitch), sin(pitch)), (zero, -sin(pitch), cos(pitch)))
    lean = matrix((cos(roll), sin(roll), zero), (-sin(roll), cos(roll), zero), (zero, zero, one))
    return lean @ turn @ nod


def head_points(points: np.ndarray, signer: Signer, *, rotation: np.ndarray) -> np.ndarray:
    """Points (N, 3) of an upright head of normal size -> signer space, for rotations (..., 3, 3)."""
    return (points - NECK) * signer.head @ np.swapaxes(rotation, -1, -2) + NECK


def _directions(labels: Mapping[str, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Finger direction and palm normal of the labels, both turned by the same few degrees."""
    direction = labels["hand_position_finger_direction"]
    along = np.array(FINGER_DIRECTIONS[direction])
    palm = np.array(PALM_NORMALS[direction][labels["hand_position_palm_orientation"]])
    turn = np.radians(rng.normal(0, 4, 3).clip(-8, 8))
    return along + np.cross(turn, along), palm + np.cross(turn, palm)


def _target(place: Place, x: int, *, two_handed: bool, body: _Body) -> np.ndarray:
    """The point that the hand meets: moved with the head, and to the side that x names."""
    point = np.array(place.point)
    if place.on_head:
        point = head_points(point[None], body.signer, rotation=body.head[-1])[0]
    return point + (side_offset(place, x, two_handed=two_handed), 0, 0)


def _wrist(target: np.ndarray, place: Place, *, hold: _Hold, size: float) -> np.ndarray:
    """Where the wrist must be so that the hand meets the target and stays in front of the body."""
    joints, _ = hand_points(hold.shape, np.ones(1))
    offset = size * joints[0] @ hand_axes(hold.along, hold.palm)
    if place.meet == PALM:
        wrist = target - offset[9] * 0.9
        return wrist + (0, 0, max(0.0, 0.15 - (wrist + offset)[:, 2].min()))
    tip = offset[list(hold.shape.contact)].mean(0)
    reach = np.hypot(tip[0], tip[1])
    wrist = target - tip * (1 + place.clear / max(reach, 0.3 * size))
    if reach < 0.45 * size:
        # Seen end-on the hand would hide the place: let its upper edge touch instead.
        wrist = wrist - (0, (wrist + offset)[:, 1].max() - target[1] + 0.04, 0)
    wrist[2] = target[2] + 0.06 - offset[:, 2].min()
    return wrist


def _second(hold: _Hold, two: TwoHands) -> _Hold:
    """The other hand of a symmetric sign, in mirrored space (as if it were a right hand, too)."""
    wrist = hold.wrist - (0, two.lower, two.behind * 0.35)
    if two.mirrored:
        return replace(hold, wrist=wrist)
    away = (hold.wrist - (PAIR, two.lower, two.behind * 0.35)) * MIRROR
    return replace(hold, along=hold.along * MIRROR, palm=hold.palm * MIRROR, wrist=away)


def _sway(frames: int, two: TwoHands | None, *, rng: np.random.Generator) -> np.ndarray:
    """(T, 3) the small movement while the posture is held; alternating hands move more."""
    phase = np.arange(frames) * rng.uniform(0.9, 1.2) + rng.uniform(0, 2 * np.pi)
    size = np.array((0.05 if two else 0.02, 0.02, 0.02))  # sideways together or apart: parallel or mirrored
    if two and two.alternating:
        size = size + (0, 0.07 * (two.lower > LEAD), 0.10 * (two.behind > 0))
    return size * np.stack([np.cos(phase), np.sin(phase), np.sin(phase)], -1)


def _second_sway(sway: np.ndarray, two: TwoHands) -> np.ndarray:
    """The other hand's movement in mirrored space: with the first, or against it."""
    mirrored = sway if two.mirrored else sway * MIRROR
    return mirrored * (1, -1, -1) if two.alternating else mirrored


def _arm(hold: _Hold, body: _Body, *, sway: np.ndarray | float = 0.0, left: bool = False, late: bool = False) -> Arm:
    """A right arm from rest into its hold; `left` mirrors the result, `late` starts after the other hand."""
    progress = (body.progress * 1.25 - 0.25).clip(0) if late else body.progress
    p = progress[:, None]
    formed = (progress * 1.5).clip(0, 1)
    wrist = REST + p * (hold.wrist - REST) + sway * p + p * (1 - p) * np.array((0.25, 0, 0.5))
    # From hanging down over pointing out to the target, so that no path runs through a zero vector.
    q = formed[:, None]
    along = (1 - q) ** 2 * (0.1, -1, 0.2) + 2 * q * (1 - q) * np.array((0, 0, 0.8)) + q**2 * hold.along
    palm = (1 - q) ** 2 * (-1, 0, 0) + 2 * q * (1 - q) * np.array((-0.5, -0.3, 0)) + q**2 * hold.palm
    joints, pads = hand_points(hold.shape, formed, flex_jitter=hold.flex)
    axes = hand_axes(along, palm)
    joints = wrist[:, None] + body.size * joints @ axes
    pads = pads @ axes
    # Raised hands have the elbow out at the side, or the forearm would hide the face.
    high = wrist[:, 1].clip(0, 1)
    pole = np.stack([0.55 + 1.2 * high, -1.0 + 0.5 * high, np.full_like(high, -0.1)], -1)
    elbow = _bend(body.shoulder, wrist, pole=pole)
    side = MIRROR if left else np.ones(3)
    return Arm(joints * side, pads * side, axes * side, elbow * side, body.shoulder * side, body.size)


def _resting(body: _Body) -> Arm:
    """The other arm of a one-handed sign hangs at the side."""
    return _arm(_Hold(RELAXED, np.array((0.1, -1, 0.2)), np.array((-1.0, 0, 0)), REST), body, left=True)


def _presenting(place: ArmPlace, body: _Body) -> Arm:
    """The other arm, presenting a part of itself."""
    shape = hand_shape(place.form, place.thumb, bending=place.bending)
    along, palm, wrist = (np.array(v, float) * MIRROR for v in (place.fingers, place.palm, place.wrist))
    return _arm(_Hold(shape, along, palm, wrist), body, left=True)


def _touched(place: ArmPlace, arm: Arm) -> tuple[float, float, float]:
    """The point of the arm that the signing hand touches once the posture is reached."""
    points = np.concatenate([arm.joints[-1], arm.shoulder[-1:], arm.elbow[-1:]])
    weights = np.zeros(len(points))
    for joint, weight in place.touched:
        weights[joint] = weight
    x, y, z = weights @ points
    return x, y, z


def _bend(shoulder: np.ndarray, wrist: np.ndarray, *, pole: np.ndarray) -> np.ndarray:
    """Elbows between shoulders and wrists, on the side of the poles, all (T, 3); arms stretch where too short."""
    way = wrist - shoulder
    span = np.linalg.norm(way, axis=-1, keepdims=True)
    grow = np.maximum(span / ((UPPER_ARM + FOREARM) * 0.985), 1.0)
    upper, fore = UPPER_ARM * grow, FOREARM * grow
    along = (span**2 + upper**2 - fore**2) / (2 * span)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0))
    unit = way / span
    out = pole - unit * (unit * pole).sum(-1, keepdims=True)
    return shoulder + unit * along + out / np.linalg.norm(out, axis=-1, keepdims=True) * aside
