"""Draws the demo signer's arms and hands: front and back of the hand, nails, creases, joints.

Nearer parts are painted over farther ones (parts: two limbs per arm, a palm and fifteen finger bones per
hand). All polygons of a clip are computed at once; only the painting itself is a loop.
"""

from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from hearai.data.demo.body import Arm
from hearai.data.demo.camera import Camera, capsules
from hearai.data.demo.signer import Colour, Signer

# T frames, N parts; colours are RGB 0..255

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


@dataclass(frozen=True)
class Ink:
    """Skin seen from the back of the hand, from the palm, and the lines between."""

    back: np.ndarray
    palm: np.ndarray
    line: Colour
    nail: Colour
    crease: Colour


def ink_of(signer: Signer) -> Ink:
    """Hand colours of a signer: palms lighter than backs on every skin."""
    skin = np.array(signer.skin)
    return Ink(
        back=skin * 0.80,
        palm=0.42 * skin + 0.58 * np.array((255, 222, 204)),
        line=tuple(skin * 0.25),
        nail=tuple(0.35 * skin + 0.65 * np.array((255, 190, 190))),
        crease=tuple(skin * 0.25 + np.array((112, 30, 24))),
    )


@dataclass(frozen=True)
class Stroke:
    """A polygon, or a line if `width` is set, in every frame: points (T, 2 n), colour and visibility (T,)."""

    points: list[list[float]]
    colour: list[int]
    shown: list[bool] | None = None
    width: int = 0


@dataclass(frozen=True)
class Part:
    """Strokes painted together; nearer parts (greater depth (T,)) are painted later."""

    depth: np.ndarray
    strokes: list[Stroke]


def paint(draw: ImageDraw.ImageDraw, parts: list[Part], *, frame: int) -> None:
    """Paint one frame's parts from far to near."""
    order = np.argsort([part.depth[frame] for part in parts], kind="stable")
    for i in order.tolist():
        for stroke in parts[i].strokes:
            if stroke.shown is not None and not stroke.shown[frame]:
                continue
            if stroke.width:
                draw.line(stroke.points[frame], fill=stroke.colour[frame], width=stroke.width, joint=None)
            else:
                draw.polygon(stroke.points[frame], fill=stroke.colour[frame])


def arm_parts(arm: Arm, signer: Signer, *, camera: Camera, watch: bool) -> list[Part]:
    """Everything of one arm. The watch is worn on the wrist of the other, not the signing, hand."""
    ink = ink_of(signer)
    return [
        *_limbs(arm, signer, camera=camera, watch=watch),
        _palm(arm, ink, camera=camera),
        *_fingers(arm, ink, camera=camera),
    ]


def pack(colours: np.ndarray) -> np.ndarray:
    """Colours (..., 3) as the packed integers (...) that ImageDraw takes fastest."""
    c = colours.clip(0, 255).astype(int)
    return c[..., 0] | c[..., 1] << 8 | c[..., 2] << 16


def _always(colour: np.ndarray | Colour, frames: int) -> list[int]:
    """One packed colour for every frame."""
    return [int(pack(np.asarray(colour)))] * frames


def _limb(
    start: np.ndarray,
    end: np.ndarray,
    *,
    radii: tuple[float, float],
    camera: Camera,
    colour: np.ndarray | Colour,
    line: Colour,
) -> tuple[list[Stroke], np.ndarray]:
    """Outline and filling of one limb, and its mean depth (T,)."""
    a, b = camera.see(start), camera.see(end)
    frames = len(start)
    ra, rb, edge = a.zoom * radii[0], b.zoom * radii[1], LINE * a.zoom
    outer = capsules(a.uv, b.uv, radii=(ra + edge, rb + edge))
    inner = capsules(a.uv, b.uv, radii=(ra, rb))
    strokes = [Stroke(outer.tolist(), _always(line, frames)), Stroke(inner.tolist(), _always(colour, frames))]
    return strokes, (a.depth + b.depth) / 2


def _limbs(arm: Arm, signer: Signer, *, camera: Camera, watch: bool) -> list[Part]:
    """Upper arm and forearm, sleeved or bare."""
    top, thick = np.array(signer.top), signer.thickness
    wrist = arm.joints[:, 0]
    line = tuple(top * 0.35)
    bare = ink_of(signer)
    fore, fore_line = (top * 1.12, line) if signer.long_sleeves else (bare.back * 1.08, bare.line)
    upper, upper_depth = _limb(
        arm.shoulder, arm.elbow, radii=(0.17 * thick, 0.15 * thick), camera=camera, colour=top * 0.94, line=line
    )
    lower, depth = _limb(
        arm.elbow, wrist, radii=(0.145 * thick, 0.085 * thick), camera=camera, colour=fore, line=fore_line
    )
    if watch:
        way = wrist - arm.elbow
        band, _ = _limb(
            arm.elbow + 0.80 * way,
            arm.elbow + 0.90 * way,
            radii=(0.115, 0.115),
            camera=camera,
            colour=(20, 20, 24),
            line=(0, 0, 0),
        )
        face, _ = _limb(
            arm.elbow + 0.85 * way,
            arm.elbow + 0.86 * way,
            radii=(0.07, 0.07),
            camera=camera,
            colour=(235, 235, 225),
            line=(0, 0, 0),
        )
        lower = lower + band + face[1:]
    return [Part(upper_depth - 0.25, upper), Part(depth - 0.12, lower)]


def _skin(ink: Ink, facing: np.ndarray, *, depth: np.ndarray) -> np.ndarray:
    """Colours (..., 3) of a surface whose palm side has this cosine to the camera; nearer is brighter."""
    t = ((facing + 0.22) / 0.44).clip(0, 1)[..., None]
    t = t * t * (3 - 2 * t)
    shade = 0.86 + 0.14 * np.abs(facing) + 0.10 * (depth - 0.5).clip(-0.5, 0.8)
    return (ink.back * (1 - t) + ink.palm * t) * shade[..., None]


def _palm(arm: Arm, ink: Ink, *, camera: Camera) -> Part:
    """The metacarpus: five fat bones under one skin, lines of the palm or tendons of the back."""
    frames = len(arm.joints)
    extra = arm.joints[:, :1] + arm.size * WRIST_AND_THENAR @ arm.axes
    view = camera.see(np.concatenate([arm.joints, extra], 1))
    normal = arm.axes[:, 2]
    facing = camera.facing(arm.joints[:, 9], normal)
    a, b = list(PALM_FROM), list(PALM_TO)
    radius = arm.size * PALM_RADIUS * view.zoom
    edge = LINE * view.zoom
    outer = capsules(view.uv[:, a], view.uv[:, b], radii=((radius + edge)[:, a], (radius + edge)[:, b]))
    inner = capsules(view.uv[:, a], view.uv[:, b], radii=(radius[:, a], radius[:, b]))
    line = _always(ink.line, frames)
    depth = view.depth[:, [0, 5, 9, 17]].mean(1)
    fill = pack(_skin(ink, facing, depth=depth)).tolist()
    strokes = [Stroke(outer[:, i].tolist(), line) for i in range(5)]
    strokes += [Stroke(inner[:, i].tolist(), fill) for i in range(5)]
    for lines, sign, colour in ((PALM_LINES, 1, ink.crease), (TENDONS, -1, ink.line)):
        shown = (sign * facing > 0.25).tolist()
        points = arm.joints[:, :1] + arm.size * lines.reshape(-1, 3) @ arm.axes
        uv = camera.see(points).uv.reshape(frames, len(lines), -1).swapaxes(0, 1).tolist()
        strokes += [Stroke(polyline, _always(colour, frames), shown, 2) for polyline in uv]
    return Part(depth, strokes)


def _fingers(arm: Arm, ink: Ink, *, camera: Camera) -> list[Part]:
    """Fifteen bones, each in the colour of the side it shows, with nails and joint creases."""
    frames = len(arm.joints)
    view = camera.see(arm.joints)
    a, b = FIRST, FIRST + 1
    start, end = view.uv[:, a], view.uv[:, b]
    radius = arm.size * BONE_RADII.reshape(-1)
    ra, rb = radius * view.zoom[:, a], radius * TIP_SHRINK * view.zoom[:, b]
    edge = LINE * view.zoom[:, a]
    length = np.linalg.norm(arm.joints[:, b] - arm.joints[:, a], axis=-1) * view.zoom[:, a]
    # A bone in the picture plane gets no outline across its joint, one pointing at the camera all round.
    blunt = (1 - np.linalg.norm(end - start, axis=-1) / length).clip(0, 1)
    outer, inner = capsules(start, end, radii=(ra + edge, rb + edge), blunt=blunt), capsules(start, end, radii=(ra, rb))
    facing = camera.facing((arm.joints[:, a] + arm.joints[:, b]) / 2, arm.pads)
    depth = (view.depth[:, a] + view.depth[:, b]) / 2
    line, crease, nail = (_always(c, frames) for c in (ink.line, ink.crease, ink.nail))
    outer, inner = outer.swapaxes(0, 1).tolist(), inner.swapaxes(0, 1).tolist()
    colours = pack(_skin(ink, facing, depth=depth)).T.tolist()
    nails, creases = _nails(arm, camera).swapaxes(0, 1).tolist(), _creases(arm, camera, radius=radius)
    parts = []
    for i in range(15):
        strokes = [Stroke(outer[i], line), Stroke(inner[i], colours[i])]
        if i % 3:
            for sign, colour in ((1, crease), (-1, line)):
                shown = (sign * facing[:, i] > 0.3).tolist()
                strokes.append(Stroke(creases[sign][i], colour, shown, 2))
        if i % 3 == 2:
            strokes.append(Stroke(nails[i // 3], nail, (facing[:, i] < -0.1).tolist()))
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


def _creases(arm: Arm, camera: Camera, *, radius: np.ndarray) -> dict[int, list]:
    """Lines [15][T][4] in pixels across the start of each bone, on its pad side (1) and back (-1)."""
    starts = arm.joints[:, FIRST]
    along = arm.joints[:, FIRST + 1] - starts
    along /= np.linalg.norm(along, axis=-1, keepdims=True)
    across = np.cross(along, arm.pads) * radius[:, None]
    lines = {}
    for sign in (1, -1):
        on_skin = starts + sign * arm.pads * radius[:, None] * 0.8
        uv = camera.see(np.stack([on_skin - across * 0.8, on_skin + across * 0.8], 2)).uv
        lines[sign] = uv.reshape(*uv.shape[:2], 4).swapaxes(0, 1).tolist()
    return lines
