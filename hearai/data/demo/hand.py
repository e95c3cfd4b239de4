"""The hand of a demo signer: 21 joints in MediaPipe order, posed by base form, thumb and bending.

Coordinates are in the hand's own axes, in hand lengths (wrist to tip of the straight middle finger is
about 1): x towards the thumb side, y along the fingers, z out of the palm. Always a right hand, which `body` mirrors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# T frames; the last axis of points is (x, y, z)

KNUCKLES = np.array([(0.185, 0.47, 0), (0.062, 0.50, 0), (-0.062, 0.475, 0), (-0.18, 0.42, 0)])
PHALANGES = np.array([(0.25, 0.16, 0.12), (0.27, 0.17, 0.12), (0.25, 0.16, 0.12), (0.19, 0.12, 0.11)])
THUMB_ROOT = np.array((0.12, 0.10, 0.03))
THUMB_BONES = (0.22, 0.19, 0.15)

CLOSED = (88, 100, 62)
# Degrees of flexion at base, middle and end joint of an extended finger, by class of the bending head.
BENDING = ((0, 3, 2), (62, 88, 8), (78, 2, 0), (34, 42, 26), (2, 98, 58), (58, 102, 66))
CEE = (38, 46, 28)
PINCH = (56, 62, 34)
FLAT_O = (66, 36, 20)

TOGETHER = (2, 0.5, -0.5, -3)
SPREAD = (20, 6, -9, -25)


@dataclass(frozen=True)
class HandShape:
    """A hand: flexion (4, 3) and sideways spread (4,) of the fingers in degrees, thumb joints (4, 3)."""

    flexion: np.ndarray
    spread: np.ndarray
    thumb: np.ndarray
    contact: tuple[int, ...]
    """Joints that touch a place: the extended fingertips, or the knuckles of a fist."""


Flexion = tuple[float, float, float]
BaseForm = tuple[Sequence[Flexion], Sequence[float], tuple[int, ...]]


def _base_forms(bent: Flexion) -> tuple[BaseForm, ...]:
    """By class: flexion of the fingers, their spread, touching joints; `bent` is the flexion of an extended finger."""
    rest = [CLOSED] * 4
    return (
        (rest, TOGETHER, (6, 10)),
        ([bent] * 4, TOGETHER, (8, 12, 16)),
        ([bent, *rest[1:]], TOGETHER, (8,)),
        ([bent, bent, *rest[2:]], TOGETHER, (8, 12)),
        ([bent, bent, *rest[2:]], (18, -16, -8, -10), (8, 12)),
        ([bent] * 4, SPREAD, (8, 12, 16)),
        ([PINCH, *rest[1:]], TOGETHER, (8,)),
        ([FLAT_O] * 4, (-5, -1, 4, 9), (8, 12, 16)),
        ([PINCH, bent, bent, bent], (0, 4, -9, -22), (8,)),
        ([CEE, *rest[1:]], TOGETHER, (8,)),
        ([CEE] * 4, TOGETHER, (8, 12)),
        ([CEE, bent, bent, bent], (0, 4, -9, -22), (8,)),
    )


def _reach(target: np.ndarray) -> np.ndarray:
    """Thumb joints (4, 3) with the tip at the target, or as near as the bones allow."""
    first = THUMB_ROOT + THUMB_BONES[0] * _unit(np.array((0.75, 0.35, 0.75)))
    way = target - first
    long, short = THUMB_BONES[1:]
    span = np.clip(np.linalg.norm(way), 0.05, (long + short) * 0.995)
    along = (span**2 + long**2 - short**2) / (2 * span)
    aside = np.sqrt(max(long**2 - along**2, 0))
    way = _unit(way)
    out = np.array((0.6, -0.1, 0.8))
    out = _unit(out - way * (out @ way))
    middle = first + way * along + out * aside
    return np.stack([THUMB_ROOT, first, middle, first + way * span])


def _chain(*directions: tuple[float, float, float]) -> np.ndarray:
    """Thumb joints (4, 3) from three bone directions."""
    points = [THUMB_ROOT]
    for length, direction in zip(THUMB_BONES, directions, strict=True):
        points.append(points[-1] + length * _unit(np.array(direction)))
    return np.stack(points)


def _thumb(position: int, form: int, *, fingertips: np.ndarray) -> np.ndarray:
    """Thumb joints (4, 3). In a pinch or a C without a thumb label the thumb is part of the shape."""
    if position == 1:
        return _chain((0.85, 0.5, 0.05), (0.97, 0.22, 0.0), (0.99, 0.12, 0.0))
    if position == 2:  # over folded fingers the thumb must pass in front of them
        front = 0.36 if form in (0, 2, 3, 4, 6, 9) else 0.13
        goal = np.array((-0.13, 0.33, front))
        knee = np.array((0.03, 0.27, front))
        return np.stack([THUMB_ROOT, (0.20, 0.22, front * 0.7), knee, goal])
    if position == 3:
        return _chain((0.55, 0.25, 0.75), (0.12, 0.30, 0.95), (-0.05, 0.35, 0.93))
    if form in (6, 8):
        return _reach(fingertips[0])
    if form == 7:
        return _reach(fingertips[:2].mean(0))
    if form in (9, 10, 11):
        return _chain((0.62, 0.22, 0.75), (0.10, 0.20, 0.97), (-0.12, 0.62, 0.77))
    return _chain((0.55, 0.83, 0.08), (0.10, 0.98, 0.08), (-0.02, 0.99, 0.06))


def hand_shape(form: int, thumb: int = 0, *, bending: int = 0) -> HandShape:
    """The hand for classes of the heads base form, thumb position and bending."""
    by_finger, sideways, contact = _base_forms(BENDING[bending])[form]
    flexion, spread = np.array(by_finger, float), np.array(sideways, float)
    joints, _ = _fingers(flexion[None], spread[None])
    return HandShape(flexion, spread, _thumb(thumb, form, fingertips=joints[0, :, 3]), contact)


def _fingers(flexion: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 4, 3), (T, 4) degrees -> joints (T, 4, 4, 3) and pad normals (T, 4, 3, 3)."""
    angle = np.radians(np.cumsum(flexion, -1))[..., None]
    side = np.radians(spread)
    ahead = np.stack([np.sin(side), np.cos(side), np.zeros_like(side)], -1)[:, :, None, :]
    up = np.array((0.0, 0.0, 1.0))
    bones = (np.cos(angle) * ahead + np.sin(angle) * up) * PHALANGES[None, :, :, None]
    pads = np.cos(angle) * up - np.sin(angle) * ahead
    root = np.broadcast_to(KNUCKLES[None, :, None, :], (*bones.shape[:2], 1, 3))
    return np.concatenate([root, root + np.cumsum(bones, 2)], 2), pads


def hand_points(shape: HandShape, progress: np.ndarray, *, flex_jitter: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 21, 3) and finger-pad normals (T, 15, 3) while the hand forms from rest.

    `progress` (T,) is 0 at rest and 1 when formed; `flex_jitter` is in degrees.
    """
    p = progress[:, None]
    flexion = RELAXED.flexion + p[..., None] * (shape.flexion + flex_jitter - RELAXED.flexion)
    spread = RELAXED.spread + p * (shape.spread - RELAXED.spread)
    thumb = RELAXED.thumb + p[..., None] * (shape.thumb - RELAXED.thumb)
    fingers, pads = _fingers(flexion, spread)
    frames = len(progress)
    joints = np.concatenate([np.zeros((frames, 1, 3)), thumb, fingers.reshape(frames, 16, 3)], 1)
    return joints, np.concatenate([_thumb_pads(thumb), pads.reshape(frames, 12, 3)], 1)


def _thumb_pads(thumb: np.ndarray) -> np.ndarray:
    """The thumb's pad faces the middle of the palm: joints (T, 4, 3) -> normals (T, 3, 3)."""
    bones = _unit(np.diff(thumb, axis=1))
    way = np.array((-0.10, 0.42, 0.10)) - thumb[:, 1:]
    return _unit(way - bones * (way * bones).sum(-1, keepdims=True))


def hand_axes(direction: np.ndarray, palm: np.ndarray) -> np.ndarray:
    """Rows are the hand's x, y, z axes in signer space: (..., 3), (..., 3) -> (..., 3, 3).

    Signer space has x to the signer's right and z towards the camera: with fingers up and palm out, the
    thumb of the right hand points to the signer's left.
    """
    along = _unit(direction)
    palm = _unit(palm - along * (palm * along).sum(-1, keepdims=True))
    return np.stack([np.cross(palm, along), along, palm], -2)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


RELAXED = hand_shape(1, 0, bending=3)
"""The hand at rest, in which every clip starts."""
