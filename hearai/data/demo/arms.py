"""Paints the arms and hands of a demo signer: front and back of the hand, nails, creases, joints.

Nearer parts are painted over farther ones (parts: two limbs per arm, a palm and fifteen finger bones per hand). The
polygons of all frames are computed at once; only the painting itself is a loop.
"""

from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from hearai.data.demo.body import Arm
from hearai.data.demo.camera import Camera, Paint, rgb
from hearai.data.demo.signer import Signer

# T frames

FIRST = np.array([d * 4 + j for d in range(5) for j in (1, 2, 3)])
"""Joint where each of the fifteen finger bones starts; it ends at the next one."""
BONE_RADII = np.array([[0.082, 0.074, 0.066], *[[0.066, 0.061, 0.057]] * 3, [0.058, 0.053, 0.050]])
TIP_SHRINK = 0.92
PALM_FROM = (21, 0, 0, 22, 23)
PALM_TO = (5, 9, 13, 17, 2)
PALM_RADIUS = 0.088
WRIST_AND_THENAR = np.array([(0.085, 0.04, 0), (-0.085, 0.04, 0), (0.085, 0.09, 0.03)])
PALM_LINES = np.array(
    [
        [(0.20, 0.36, 0.09), (0.07, 0.36, 0.09), (-0.05, 0.27, 0.09)],
        [(-0.21, 0.34, 0.09), (-0.04, 0.36, 0.09), (0.06, 0.44, 0.09)],
        [(0.19, 0.33, 0.09), (0.05, 0.24, 0.09), (0.02, 0.08, 0.09)],
    ]
)
TENDONS = np.array(
    [[(x * 0.5, 0.20, -0.09), (x * 0.75, 0.30, -0.09), (x, 0.42, -0.09)] for x in (0.175, 0.06, -0.06, -0.17)]
)
LINE = 0.022
"""Width of outlines in signer-space units."""
ARC = np.linspace(-np.pi / 2, np.pi / 2, 6)


@dataclass(frozen=True)
class Ink:
    """Skin seen from the back of the hand and from the palm, and the details on it."""

    back: np.ndarray
    palm: np.ndarray
    line: np.ndarray
    nail: np.ndarray
    crease: np.ndarray


def _ink_of(signer: Signer) -> Ink:
    """Hand colours of a signer: the palm is lighter than the back on every skin."""
    skin = np.array(signer.skin)
    return Ink(
        back=skin * 0.80,
        palm=0.42 * skin + 0.58 * np.array((255, 222, 204)),
        line=skin * 0.25,
        nail=0.35 * skin + 0.65 * np.array((255, 190, 190)),
        crease=skin * 0.25 + np.array((112, 30, 24)),
    )


class Stroke:
    """A polygon, or a line where `width` is set, in every frame."""

    def __init__(self, points: np.ndarray, colour: Paint, *, shown: np.ndarray | None = None, width: int = 0):
        """Points (T, 2 n) x, y, x, y, ... in pixels; one colour, or one per frame (T, 3); shown (T,) or always."""
        self._points, self._width = points.tolist(), width
        colours = np.asarray(colour)
        self._colours = [rgb(c) for c in colours.tolist()] if colours.ndim == 2 else [rgb(colour)] * len(points)
        self._shown = [True] * len(points) if shown is None else shown.tolist()

    def paint(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        """Paint one frame."""
        if self._shown[frame] and self._width:
            draw.line(self._points[frame], fill=self._colours[frame], width=self._width)
        elif self._shown[frame]:
            draw.polygon(self._points[frame], fill=self._colours[frame])


@dataclass(frozen=True)
class Part:
    """Strokes painted together; nearer parts (greater depth (T,)) are painted later."""

    depth: np.ndarray
    strokes: list[Stroke]


def paint_parts(draw: ImageDraw.ImageDraw, parts: list[Part], *, frame: int) -> None:
    """Paint one frame's parts from far to near."""
    for part in sorted(parts, key=lambda part: part.depth[frame]):
        for stroke in part.strokes:
            stroke.paint(draw, frame)


def arm_parts(arm: Arm, signer: Signer, *, camera: Camera, watch: bool) -> list[Part]:
    """Everything of one arm. The watch is worn on the wrist of the other, not the signing, hand."""
    ink = _ink_of(signer)
    limbs = _limbs(arm, signer, ink, camera=camera, watch=watch)
    return [*limbs, _palm(arm, ink, camera=camera), *_fingers(arm, ink, camera=camera)]


def _limbs(arm: Arm, signer: Signer, ink: Ink, *, camera: Camera, watch: bool) -> list[Part]:
    """Upper arm and forearm, sleeved or bare."""
    top, thick = np.array(signer.top), signer.thickness
    wrist = arm.joints[:, 0]
    fore, fore_line = (top * 1.12, top * 0.35) if signer.long_sleeves else (ink.back * 1.08, ink.line)

    def limb(start: np.ndarray, end: np.ndarray, radii: tuple[float, float], colour: Paint, line: Paint) -> Part:
        a, b = camera.see(start), camera.see(end)
        ra, rb, edge = a.zoom * radii[0], b.zoom * radii[1], LINE * a.zoom
        outer = _capsules(a.uv, b.uv, radii=(ra + edge, rb + edge))
        inner = _capsules(a.uv, b.uv, radii=(ra, rb))
        return Part((a.depth + b.depth) / 2, [Stroke(outer, line), Stroke(inner, colour)])

    upper = limb(arm.shoulder, arm.elbow, (0.17 * thick, 0.15 * thick), top * 0.94, top * 0.35)
    lower = limb(arm.elbow, wrist, (0.145 * thick, 0.085 * thick), fore, fore_line)
    strokes = lower.strokes
    if watch:
        way = wrist - arm.elbow
        band = limb(arm.elbow + 0.80 * way, arm.elbow + 0.90 * way, (0.115, 0.115), (20, 20, 24), (0, 0, 0))
        dial = limb(arm.elbow + 0.85 * way, arm.elbow + 0.86 * way, (0.07, 0.07), (235, 235, 225), (0, 0, 0))
        strokes = [*strokes, *band.strokes, dial.strokes[1]]
    return [Part(upper.depth - 0.25, upper.strokes), Part(lower.depth - 0.12, strokes)]


def _skin(ink: Ink, facing: np.ndarray, *, depth: np.ndarray) -> np.ndarray:
    """Colours (..., 3) of a surface whose palm side has this cosine to the camera; nearer is brighter."""
    t = ((facing + 0.22) / 0.44).clip(0, 1)[..., None]
    t = t * t * (3 - 2 * t)
    shade = 0.86 + 0.14 * np.abs(facing) + 0.10 * (depth - 0.5).clip(-0.5, 0.8)
    return (ink.back * (1 - t) + ink.palm * t) * shade[..., None]


def _palm(arm: Arm, ink: Ink, *, camera: Camera) -> Part:
    """The metacarpus: five thick bones under one skin, lines of the palm or tendons of the back."""
    frames = len(arm.joints)
    extra = arm.joints[:, :1] + arm.size * WRIST_AND_THENAR @ arm.axes
    view = camera.see(np.concatenate([arm.joints, extra], 1))
    facing = camera.facing(arm.joints[:, 9], arm.axes[:, 2])
    a, b = list(PALM_FROM), list(PALM_TO)
    radius = arm.size * PALM_RADIUS * view.zoom
    edge = LINE * view.zoom
    outer = _capsules(view.uv[:, a], view.uv[:, b], radii=((radius + edge)[:, a], (radius + edge)[:, b]))
    inner = _capsules(view.uv[:, a], view.uv[:, b], radii=(radius[:, a], radius[:, b]))
    depth = view.depth[:, [0, 5, 9, 17]].mean(1)
    skin = _skin(ink, facing, depth=depth)
    strokes = [Stroke(outer[:, i], ink.line) for i in range(5)] + [Stroke(inner[:, i], skin) for i in range(5)]
    for lines, sign, colour in ((PALM_LINES, 1, ink.crease), (TENDONS, -1, ink.line)):
        points = arm.joints[:, :1] + arm.size * lines.reshape(-1, 3) @ arm.axes
        uv = camera.see(points).uv.reshape(frames, len(lines), -1)
        strokes += [Stroke(uv[:, i], colour, shown=sign * facing > 0.25, width=2) for i in range(len(lines))]
    return Part(depth, strokes)


def _fingers(arm: Arm, ink: Ink, *, camera: Camera) -> list[Part]:
    """Fifteen bones, each in the colour of the side it shows, with nails and joint creases."""
    view = camera.see(arm.joints)
    a, b = FIRST, FIRST + 1
    start, end = view.uv[:, a], view.uv[:, b]
    radius = arm.size * BONE_RADII.reshape(-1)
    ra, rb = radius * view.zoom[:, a], radius * TIP_SHRINK * view.zoom[:, b]
    edge = LINE * view.zoom[:, a]
    length = np.linalg.norm(arm.joints[:, b] - arm.joints[:, a], axis=-1) * view.zoom[:, a]
    # A bone in the image plane gets no outline across its joint, one pointing at the camera gets one all round.
    blunt = (1 - np.linalg.norm(end - start, axis=-1) / length).clip(0, 1)
    outer = _capsules(start, end, radii=(ra + edge, rb + edge), blunt=blunt)
    inner = _capsules(start, end, radii=(ra, rb))
    facing = camera.facing((arm.joints[:, a] + arm.joints[:, b]) / 2, arm.pads)
    depth = (view.depth[:, a] + view.depth[:, b]) / 2
    skin = _skin(ink, facing, depth=depth)
    nails = _nails(arm, camera)
    creases = {side: _creases(arm, camera, radius=radius, side=side) for side in (1, -1)}
    parts = []
    for i in range(15):
        strokes = [Stroke(outer[:, i], ink.line), Stroke(inner[:, i], skin[:, i])]
        if i % 3:
            for side, colour in ((1, ink.crease), (-1, ink.line)):
                strokes.append(Stroke(creases[side][:, i], colour, shown=side * facing[:, i] > 0.3, width=2))
        if i % 3 == 2:
            strokes.append(Stroke(nails[:, i // 3], ink.nail, shown=facing[:, i] < -0.1))
        parts.append(Part(depth[:, i] + 0.02 * (i % 3) * arm.size, strokes))
    return parts


def _nails(arm: Arm, camera: Camera) -> np.ndarray:
    """Nail outlines (T, 5, 8) in pixels, on the back of the last bones."""
    tips, before, pads = arm.joints[:, 4::4], arm.joints[:, 3::4], arm.pads[:, 2::3]
    along = (tips - before) / np.linalg.norm(tips - before, axis=-1, keepdims=True)
    across = np.cross(along, pads)
    centre = tips - 0.05 * arm.size * pads
    corners = [
        centre + arm.size * (along * u + across * v)
        for u, v in ((-0.055, -0.035), (0.04, -0.035), (0.04, 0.035), (-0.055, 0.035))
    ]
    uv = camera.see(np.stack(corners, 2)).uv
    return uv.reshape(*uv.shape[:2], 8)


def _creases(arm: Arm, camera: Camera, *, radius: np.ndarray, side: int) -> np.ndarray:
    """Lines (T, 15, 4) in pixels across the start of each bone, on its pad side (1) or back (-1)."""
    starts = arm.joints[:, FIRST]
    along = arm.joints[:, FIRST + 1] - starts
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    across = np.cross(along, arm.pads) * radius[:, None]
    on_skin = starts + side * arm.pads * radius[:, None] * 0.8
    uv = camera.see(np.stack([on_skin - across * 0.8, on_skin + across * 0.8], 2)).uv
    return uv.reshape(*uv.shape[:2], 4)


def _capsules(
    start: np.ndarray, end: np.ndarray, *, radii: tuple[np.ndarray, np.ndarray], blunt: np.ndarray | float = 1.0
) -> np.ndarray:
    """Outlines (..., 24) x, y, x, y, ... of tapered limbs between pixels start and end (..., 2).

    `blunt` (...) scales how far the round cap at the start sticks out: 0 cuts it off straight.
    """
    way = end - start
    angle = np.arctan2(way[..., 1], way[..., 0])[..., None]
    along, across = np.cos(ARC), np.sin(ARC)
    cos, sin = np.cos(angle), np.sin(angle)

    def cap(centre: np.ndarray, radius: np.ndarray, sign: int, reach: np.ndarray | float) -> np.ndarray:
        a = sign * along * np.asarray(reach)[..., None]
        b = sign * across
        r = radius[..., None]
        return centre[..., None, :] + np.stack([r * (a * cos - b * sin), r * (a * sin + b * cos)], -1)

    outline = np.concatenate([cap(end, radii[1], 1, 1.0), cap(start, radii[0], -1, blunt)], -2)
    return outline.reshape(*outline.shape[:-2], -1)
