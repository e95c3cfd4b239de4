"""Draws the demo signer's head: features that move with the head and react to the place that is shown."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import ImageDraw

from hearai.data.demo.body import Posture, head_points
from hearai.data.demo.camera import Camera
from hearai.data.demo.signer import Signer

# T frames; head coordinates are signer space with the head straight: top y 1.1, chin y 0.26

HALF_WIDTH, HALF_HEIGHT, DEPTH = 0.35, 0.42, 0.34
MIDDLE = np.array((0.0, 0.68, 0.03))


def on_face(x: float, y: float, *, lift: float = 0.0) -> tuple[float, float, float]:
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
    "look_y": {"iris": (0, 0.035, 0)},
    "brows": {"brow": (0, 0.075, 0), "upper_lid": (0, 0.02, 0)},
    "puff": {"cheek": (0.03, 0, 0.08)},
    "jaw": {"mouth": (0, 0.05, 0), "upper_lip": (0, 0.05, 0), "lower_lip": (0, 0.05, 0), "chin": (0, 0, 0.03)},
}


def face_landmarks(posture: Posture, signer: Signer) -> np.ndarray:
    """FACE_POINTS in signer space, frame by frame (T, F, 3), moved by head and expression."""
    points = np.array(list(FACE_POINTS.values()))
    moved = points + posture.progress[:, None, None] * _moves(posture.place)
    return head_points(moved, signer, rotation=posture.head)


@cache
def _moves(place: int) -> np.ndarray:
    """How far (F, 3) the face's points move when it shows a place."""
    look = vars(EXPRESSIONS.get(place, Expression()))
    moved = np.zeros((len(FACE_POINTS), 3))
    for i, (name, point) in enumerate(FACE_POINTS.items()):
        part = name.removeprefix("right_").removeprefix("left_")
        for attribute, moves in MOVES.items():
            if part in moves:
                moved[i] += look[attribute] * np.array(moves[part]) * (np.sign(point[0]), 1, 1)
    return moved


@dataclass(frozen=True)
class Expression:
    """How the face shows a place; each 0 (not at all) .. 1, brows -1 .. 1."""

    tongue: float = 0
    teeth: float = 0
    purse: float = 0
    flare: float = 0
    nose: float = 0
    eyes_shut: float = 0
    look_y: float = 0
    brows: float = 0
    puff: float = 0
    jaw: float = 0


EXPRESSIONS: dict[int, Expression] = {
    1: Expression(look_y=1),
    3: Expression(look_y=1, brows=-1),
    4: Expression(look_y=-1, nose=1),
    5: Expression(flare=1),
    6: Expression(purse=1),
    7: Expression(tongue=1),
    8: Expression(teeth=1),
    9: Expression(jaw=1, look_y=-1),
    17: Expression(brows=1),
    18: Expression(eyes_shut=1),
    21: Expression(puff=1),
}


def draw_head(draw: ImageDraw.ImageDraw, posture: Posture, *, signer: Signer, camera: Camera, frame: int) -> None:
    """Paint the head of one frame."""
    pen = _Pen(draw, posture.head[frame], signer=signer, camera=camera)
    amount = float(posture.progress[frame])
    look = EXPRESSIONS.get(posture.place, Expression())
    look = Expression(**{k: v * amount for k, v in vars(look).items()})
    skin = np.array(signer.skin)
    line = skin * 0.3
    _skull(pen, signer, look=look, skin=skin)
    _eyes(pen, signer, look=look, line=line)
    _nose(pen, look, skin=skin)
    _mouth(pen, look, skin=skin)


class _Pen:
    """Paints ellipses and lines given in head coordinates."""

    def __init__(self, draw: ImageDraw.ImageDraw, rotation: np.ndarray, *, signer: Signer, camera: Camera):
        self._draw = draw
        # A head has over a hundred points, a few at a time: plain numbers are quicker than small arrays.
        corners = head_points(np.concatenate([np.zeros((1, 3)), np.eye(3)]), signer, rotation=rotation)
        self._see = camera.pointwise(corners[0], corners[1:] - corners[0])
        self.unit = float(camera.see(head_points(MIDDLE[None], signer, rotation=rotation)).zoom[0]) * signer.head

    def _at(self, points: list[tuple[float, float, float]]) -> list[tuple[float, float]]:
        return [self._see(*point) for point in points]

    def blob(self, point, rx: float, *, ry: float, colour, line=None) -> None:
        """An ellipse around a point, with an outline if `line` has a colour."""
        ((u, v),) = self._at([point])
        a, b = rx * self.unit, ry * self.unit
        if line is not None:
            e = 0.02 * self.unit
            self._draw.ellipse((u - a - e, v - b - e, u + a + e, v + b + e), fill=rgb(line))
        self._draw.ellipse((u - a, v - b, u + a, v + b), fill=rgb(colour))

    def shape(self, points, colour, *, line=None) -> None:
        """A polygon through points."""
        uv = self._at(points)
        self._draw.polygon(uv, fill=rgb(colour))
        if line is not None:
            self._draw.line([*uv, uv[0]], fill=rgb(line), width=max(1, round(0.025 * self.unit)))

    def line(self, points, colour, *, width: float) -> None:
        """A line of a width in head units."""
        self._draw.line(self._at(points), fill=rgb(colour), width=max(1, round(width * self.unit)))


def rgb(colour) -> tuple[int, int, int]:
    """A colour as ImageDraw takes it."""
    return tuple(int(min(max(c, 0), 255)) for c in colour)


ROUND = np.linspace(0, 2 * np.pi, 25)[:-1]


def _skull(pen: _Pen, signer: Signer, *, look: Expression, skin: np.ndarray) -> None:
    """Hair behind, ears, face, hair in front, beard."""
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
        low = 0.93 if signer.hair_style != 4 else 0.96
        cap = [(p[0] * 1.05, 0.68 + (p[1] - 0.68) * 1.06, 0.06) for p in outline if p[1] > low - 0.09]
        cap.sort(key=lambda p: -p[0])
        fringe = [on_face(x, low + 0.05 - 0.3 * x * x) for x in (-0.2, 0.0, 0.2)]
        pen.shape(cap + fringe, hair, line=hair * 0.4)
        if signer.hair_style == 4:
            for t in np.linspace(0.15, np.pi - 0.15, 7):
                pen.blob((0.36 * np.cos(t), 0.74 + 0.40 * np.sin(t), 0.0), 0.10, ry=0.09, colour=hair)
    if signer.beard:
        for x in (-0.16, -0.08, 0, 0.08, 0.16):
            pen.line([on_face(x, 0.34 + x * x * 2), on_face(x * 0.9, 0.28 + x * x * 2)], hair, width=0.05)
    if look.puff:
        for side in (1, -1):
            pen.blob(
                on_face(side * 0.20, 0.46),
                0.10 * look.puff + 0.02,
                ry=0.09 * look.puff + 0.02,
                colour=skin * (1, 0.80, 0.78),
                line=line,
            )


def _eyes(pen: _Pen, signer: Signer, *, look: Expression, line: np.ndarray) -> None:
    """Eyes that open, close and look about; brows that rise and fall."""
    for side in (1, -1):
        x, y = side * 0.145, 0.70
        opening = 0.062 * (1 - look.eyes_shut) * (1 + 0.35 * max(look.brows, 0))
        if opening > 0.015:
            pen.blob(on_face(x, y), 0.082, ry=opening, colour=(250, 250, 248), line=line)
            pen.blob(on_face(x, y + 0.035 * look.look_y), 0.040, ry=0.045, colour=(24, 18, 16))
        else:
            pen.line(
                [on_face(x - 0.08, y + 0.01), on_face(x, y - 0.03), on_face(x + 0.08, y + 0.01)],
                line * 0.6,
                width=0.045,
            )
        rise = 0.075 * look.brows
        inner, outer = 0.80 + rise * (1.0 if rise > 0 else 1.2), 0.80 + rise * (1.0 if rise > 0 else -0.1)
        brow = np.array(signer.hair) * 0.55
        pen.line(
            [
                on_face(x - side * 0.085, inner),
                on_face(x, inner * 0.4 + outer * 0.6 + 0.02),
                on_face(x + side * 0.085, outer),
            ],
            brow,
            width=0.045,
        )


def _nose(pen: _Pen, look: Expression, *, skin: np.ndarray) -> None:
    """Bridge, tip and nostrils."""
    pen.line([on_face(0.03, 0.68), on_face(0.055, 0.56, lift=0.05)], skin * 0.6, width=0.03)
    tip = on_face(0, 0.56, lift=0.09)
    red = skin * (1, 1 - 0.42 * look.nose, 1 - 0.45 * look.nose)
    pen.blob(tip, 0.055 + 0.03 * look.nose, ry=0.045 + 0.03 * look.nose, colour=red * 0.95, line=skin * 0.55)
    for side in (1, -1):
        size = 0.016 + 0.024 * look.flare
        pen.blob(on_face(side * (0.03 + 0.03 * look.flare), 0.525, lift=0.07), size, ry=size, colour=(40, 16, 14))


def _mouth(pen: _Pen, look: Expression, *, skin: np.ndarray) -> None:
    """Lips; teeth, tongue or a kiss where the place asks for it."""
    lip = 0.5 * skin + 0.5 * np.array((190, 40, 60))
    y = 0.42 + 0.05 * look.jaw
    if look.purse > 0.3:
        pen.blob(on_face(0, y), 0.075, ry=0.075, colour=lip * (1.0, 0.6, 0.7), line=skin * 0.3)
        pen.blob(on_face(0, y), 0.025, ry=0.025, colour=(50, 10, 14))
    elif look.teeth > 0.3:
        pen.blob(on_face(0, y), 0.16, ry=0.075, colour=(252, 252, 250), line=lip * 0.6)
        pen.line([on_face(-0.15, y), on_face(0.15, y)], (90, 80, 80), width=0.02)
    elif look.tongue > 0.3:
        pen.blob(on_face(0, y), 0.11, ry=0.06, colour=(50, 10, 14), line=lip * 0.6)
        pen.blob(on_face(0, y - 0.09), 0.065, ry=0.10, colour=(226, 70, 90), line=(120, 20, 40))
    else:
        pen.line([on_face(-0.11, y + 0.01), on_face(0, y - 0.015), on_face(0.11, y + 0.01)], lip * 0.75, width=0.05)
    if look.jaw:
        pen.line([on_face(-0.07, 0.33), on_face(0, 0.305), on_face(0.07, 0.33)], skin * 0.5, width=0.03)
