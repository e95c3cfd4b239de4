"""Paints the head of a demo signer: it turns towards the place that is indicated, and its face reacts."""

import numpy as np
from PIL import ImageDraw

from hearai.data.demo.body import Posture, head_points
from hearai.data.demo.camera import Camera, Pen
from hearai.data.demo.landmarks import HALF_HEIGHT, HALF_WIDTH, MIDDLE, on_face
from hearai.data.demo.places import Expression, Point
from hearai.data.demo.signer import Signer

ROUND = np.linspace(0, 2 * np.pi, 25)[:-1]


def paint_head(draw: ImageDraw.ImageDraw, posture: Posture, *, signer: Signer, camera: Camera, frame: int) -> None:
    """Paint the head of one frame."""
    rotation = posture.head[frame]
    middle = camera.see(head_points(MIDDLE[None], signer, rotation=rotation))
    pen = Pen(
        draw, camera, float(middle.zoom[0]) * signer.head, lambda points: head_points(points, signer, rotation=rotation)
    )
    face = posture.place.face.scaled(float(posture.progress[frame]))
    skin = np.array(signer.skin)
    _skull(pen, signer, face=face, skin=skin)
    _eyes(pen, signer, face=face, skin=skin)
    _nose(pen, face, skin=skin)
    _mouth(pen, face, skin=skin)


def _skull(pen: Pen, signer: Signer, *, face: Expression, skin: np.ndarray) -> None:
    """Hair behind the head, ears, face, hair in front, beard, puffed cheeks."""
    line, hair = skin * 0.3, np.array(signer.hair)
    if signer.hair_style == 1:
        pen.blob((0, 0.62, -0.05), 0.46, ry=0.55, colour=hair, line=hair * 0.4)
    if signer.hair_style == 2:
        pen.blob((0, 1.16, -0.1), 0.15, ry=0.13, colour=hair, line=hair * 0.4)
    for side in (1, -1):
        pen.blob((side * 0.365, 0.62, 0.0), 0.07, ry=0.11, colour=skin * 0.92, line=line)
        pen.blob((side * 0.37, 0.62, 0.02), 0.03, ry=0.06, colour=skin * 0.7)
    outline = [
        (HALF_WIDTH * np.cos(t) * (1 - 0.10 * max(-np.sin(t), 0)), 0.68 + HALF_HEIGHT * np.sin(t), 0.06) for t in ROUND
    ]
    pen.shape(outline, skin, line=line)
    if signer.hair_style != 3:
        _cap(pen, outline, hair, curly=signer.hair_style == 4)
    if signer.beard:
        for x in (-0.16, -0.08, 0, 0.08, 0.16):
            pen.line([on_face(x, 0.34 + x * x * 2), on_face(x * 0.9, 0.28 + x * x * 2)], hair, width=0.05)
    if face.puff:
        rx, ry = 0.10 * face.puff + 0.02, 0.09 * face.puff + 0.02
        for side in (1, -1):
            pen.blob(on_face(side * 0.20, 0.46), rx, ry=ry, colour=skin * (1, 0.80, 0.78), line=line)


def _cap(pen: Pen, outline: list[Point], hair: np.ndarray, *, curly: bool) -> None:
    """The hair on top of the head."""
    low = 0.96 if curly else 0.93
    cap = [(p[0] * 1.05, 0.68 + (p[1] - 0.68) * 1.06, 0.06) for p in outline if p[1] > low - 0.09]
    cap.sort(key=lambda p: -p[0])
    fringe = [on_face(x, low + 0.05 - 0.3 * x * x) for x in (-0.2, 0.0, 0.2)]
    pen.shape(cap + fringe, hair, line=hair * 0.4)
    if curly:
        for t in np.linspace(0.15, np.pi - 0.15, 7):
            pen.blob((0.36 * np.cos(t), 0.74 + 0.40 * np.sin(t), 0.0), 0.10, ry=0.09, colour=hair)


def _eyes(pen: Pen, signer: Signer, *, face: Expression, skin: np.ndarray) -> None:
    """Eyes, open or shut, and brows."""
    line, brow = skin * 0.3, np.array(signer.hair) * 0.55
    for side in (1, -1):
        x, y = side * 0.145, 0.70
        opening = 0.062 * (1 - face.eyes_shut) * (1 + 0.35 * max(face.brows, 0))
        if opening > 0.015:
            pen.blob(on_face(x, y), 0.082, ry=opening, colour=(250, 250, 248), line=line)
            pen.blob(on_face(x, y + 0.035 * face.look), 0.040, ry=0.045, colour=(24, 18, 16))
        else:
            lid = [on_face(x - 0.08, y + 0.01), on_face(x, y - 0.03), on_face(x + 0.08, y + 0.01)]
            pen.line(lid, line * 0.6, width=0.045)
        rise, fall = 0.075 * max(face.brows, 0), 0.075 * min(face.brows, 0)
        inner, outer = 0.80 + rise + 1.2 * fall, 0.80 + rise - 0.1 * fall
        middle = on_face(x, inner * 0.4 + outer * 0.6 + 0.02)
        pen.line([on_face(x - side * 0.085, inner), middle, on_face(x + side * 0.085, outer)], brow, width=0.045)


def _nose(pen: Pen, face: Expression, *, skin: np.ndarray) -> None:
    """Bridge, tip and nostrils."""
    pen.line([on_face(0.03, 0.68), on_face(0.055, 0.56, lift=0.05)], skin * 0.6, width=0.03)
    tip = on_face(0, 0.56, lift=0.09)
    red = skin * (1, 1 - 0.42 * face.nose, 1 - 0.45 * face.nose)
    pen.blob(tip, 0.055 + 0.03 * face.nose, ry=0.045 + 0.03 * face.nose, colour=red * 0.95, line=skin * 0.55)
    for side in (1, -1):
        size = 0.016 + 0.024 * face.flare
        pen.blob(on_face(side * (0.03 + 0.03 * face.flare), 0.525, lift=0.07), size, ry=size, colour=(40, 16, 14))


def _mouth(pen: Pen, face: Expression, *, skin: np.ndarray) -> None:
    """Lips: pursed, with teeth or tongue shown, or closed."""
    lip = 0.5 * skin + 0.5 * np.array((190, 40, 60))
    y = 0.42 + 0.05 * face.jaw
    if face.purse > 0.3:
        pen.blob(on_face(0, y), 0.075, ry=0.075, colour=lip * (1.0, 0.6, 0.7), line=skin * 0.3)
        pen.blob(on_face(0, y), 0.025, ry=0.025, colour=(50, 10, 14))
    elif face.teeth > 0.3:
        pen.blob(on_face(0, y), 0.16, ry=0.075, colour=(252, 252, 250), line=lip * 0.6)
        pen.line([on_face(-0.15, y), on_face(0.15, y)], (90, 80, 80), width=0.02)
    elif face.tongue > 0.3:
        pen.blob(on_face(0, y), 0.11, ry=0.06, colour=(50, 10, 14), line=lip * 0.6)
        pen.blob(on_face(0, y - 0.09), 0.065, ry=0.10, colour=(226, 70, 90), line=(120, 20, 40))
    else:
        pen.line([on_face(-0.11, y + 0.01), on_face(0, y - 0.015), on_face(0.11, y + 0.01)], lip * 0.75, width=0.05)
    if face.jaw:
        pen.line([on_face(-0.07, 0.33), on_face(0, 0.305), on_face(0.07, 0.33)], skin * 0.5, width=0.03)
