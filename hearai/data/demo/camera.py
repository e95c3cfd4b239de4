"""From signer space to the picture, and the one shape that limbs are drawn with."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hearai.data.demo.signer import Signer

DISTANCE = 3.2
"""Camera distance in signer-space units: near, so that a hand reaching out grows clearly."""
PIVOT = np.array((0.0, 0.0, 0.2))
CENTRE = 0.09
"""Height in signer space of the middle of the picture."""
VISIBLE = 3.05
"""Height of the picture in signer-space units."""

ARC = np.linspace(-np.pi / 2, np.pi / 2, 6)


@dataclass(frozen=True)
class View:
    """Points seen: uv (..., 2) in pixels, depth (...) towards the camera, zoom (...) pixels per unit."""

    uv: np.ndarray
    depth: np.ndarray
    zoom: np.ndarray


class Camera:
    """A signer's camera for square pictures with sides of `pixels`."""

    def __init__(self, signer: Signer, pixels: int):
        yaw, pitch = np.radians((signer.yaw, signer.pitch))
        turn = np.array(((np.cos(yaw), 0, np.sin(yaw)), (0, 1, 0), (-np.sin(yaw), 0, np.cos(yaw))))
        nod = np.array(((1, 0, 0), (0, np.cos(pitch), np.sin(pitch)), (0, -np.sin(pitch), np.cos(pitch))))
        roll = np.radians(signer.roll)
        self._rotation = (nod @ turn).T
        self._roll = np.array(((np.cos(roll), np.sin(roll)), (-np.sin(roll), np.cos(roll))))
        self._pixels = pixels
        self._scale = pixels / VISIBLE * signer.zoom
        self._middle = np.array((0.5 + signer.shift[0], 0.5 + signer.shift[1])) * pixels

    def see(self, points: np.ndarray) -> View:
        """Project points (..., 3)."""
        p = (points - PIVOT) @ self._rotation
        zoom = self._scale * DISTANCE / np.maximum(DISTANCE - p[..., 2], 0.8)
        plane = np.stack([-p[..., 0], CENTRE - p[..., 1]], -1)
        return View(plane * zoom[..., None] @ self._roll + self._middle, p[..., 2], zoom)

    def pointwise(self, origin: np.ndarray, axes: np.ndarray) -> Callable[..., tuple[float, float]]:
        """`see` for single points x, y, z of a body with this origin (3,) and axes (3, 3): their pixel."""
        start = ((origin - PIVOT) @ self._rotation).tolist()
        a, b, c = (axes @ self._rotation).tolist()
        (r00, r01), (r10, r11) = self._roll.tolist()
        u0, v0 = self._middle.tolist()

        def pixel(x: float, y: float, z: float) -> tuple[float, float]:
            px, py, pz = (start[i] + x * a[i] + y * b[i] + z * c[i] for i in range(3))
            zoom = self._scale * DISTANCE / max(DISTANCE - pz, 0.8)
            u, v = -px * zoom, (CENTRE - py) * zoom
            return u * r00 + v * r10 + u0, u * r01 + v * r11 + v0

        return pixel

    def facing(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Cosine (...) between normals and the way to the camera: 1 looks into it, -1 away."""
        way = np.array((0, 0, DISTANCE)) - (points - PIVOT) @ self._rotation
        return ((normals @ self._rotation) * way).sum(-1) / np.linalg.norm(way, axis=-1)

    def landmark(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) -> x, y as fractions of the picture and z in the same unit, smaller = nearer."""
        view = self.see(points)
        z = -view.depth * self._scale / self._pixels
        return np.concatenate([view.uv / self._pixels, z[..., None]], -1).astype(np.float32)


def capsules(
    start: np.ndarray, end: np.ndarray, *, radii: tuple[np.ndarray, np.ndarray], blunt: np.ndarray | float = 1.0
) -> np.ndarray:
    """Outlines (..., 24) x, y, x, y, ... of tapered limbs between pixels start and end (..., 2).

    `blunt` (...) scales how far the start's round cap sticks out: 0 cuts it off straight.
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
