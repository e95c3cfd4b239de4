"""From signer space to the image: the projection, and a pen that paints shapes given in signer space."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from hearai.data.demo.places import Point
from hearai.data.demo.signer import Signer

# Arrays of points end in (x, y, z) in signer space, arrays of pixels in (u, v)

DISTANCE = 3.2
"""Camera distance in signer-space units: small, so that a hand reaching out grows visibly."""
PIVOT = np.array((0.0, 0.0, 0.2))
CENTRE = 0.09
"""Height in signer space of the middle of the image."""
VISIBLE = 3.05
"""Height of the image in signer-space units."""

Paint = Sequence[float] | np.ndarray
"""RGB, 0..255; values outside are clipped when painted."""


def rgb(colour: Paint) -> tuple[int, int, int]:
    """A colour in the form that ImageDraw takes."""
    red, green, blue = (int(min(max(c, 0), 255)) for c in colour)
    return red, green, blue


@dataclass(frozen=True)
class View:
    """Projected points: uv (..., 2) in pixels, depth (...) towards the camera, zoom (...) in pixels per unit."""

    uv: np.ndarray
    depth: np.ndarray
    zoom: np.ndarray


class Camera:
    """A signer's camera for square images with sides of `pixels`."""

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

    def facing(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Cosine (...) between normals and the direction to the camera: 1 faces it, -1 faces away."""
        way = np.array((0, 0, DISTANCE)) - (points - PIVOT) @ self._rotation
        return ((normals @ self._rotation) * way).sum(-1) / np.linalg.norm(way, axis=-1)

    def landmark(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) -> x, y as fractions of the image and z in the same unit, smaller = nearer."""
        view = self.see(points)
        z = -view.depth * self._scale / self._pixels
        return np.concatenate([view.uv / self._pixels, z[..., None]], -1).astype(np.float32)


class Pen:
    """Paints ellipses, polygons and lines given in the coordinates of a body part."""

    def __init__(
        self, draw: ImageDraw.ImageDraw, camera: Camera, unit: float, place: Callable[[np.ndarray], np.ndarray]
    ):
        """`unit`: pixels per unit of the body part; `place`: its points (N, 3) -> signer space."""
        self._draw, self._camera, self.unit, self._place = draw, camera, unit, place

    def blob(self, point: Point, rx: float, *, ry: float, colour: Paint, line: Paint | None = None) -> None:
        """An ellipse around a point, with an outline if `line` has a colour."""
        ((u, v),) = self._at([point])
        a, b = rx * self.unit, ry * self.unit
        if line is not None:
            e = 0.02 * self.unit
            self._draw.ellipse((u - a - e, v - b - e, u + a + e, v + b + e), fill=rgb(line))
        self._draw.ellipse((u - a, v - b, u + a, v + b), fill=rgb(colour))

    def shape(self, points: Sequence[Point], colour: Paint, *, line: Paint | None = None) -> None:
        """A polygon, with an outline if `line` has a colour."""
        uv = self._at(points)
        self._draw.polygon(uv, fill=rgb(colour))
        if line is not None:
            self._draw.line([*uv, uv[0]], fill=rgb(line), width=self._width(0.025))

    def line(self, points: Sequence[Point], colour: Paint, *, width: float) -> None:
        """A line through points; `width` in units."""
        self._draw.line(self._at(points), fill=rgb(colour), width=self._width(width))

    def _at(self, points: Sequence[Point]) -> list[tuple[float, float]]:
        return [(u, v) for u, v in self._camera.see(self._place(np.array(points, float))).uv.tolist()]

    def _width(self, units: float) -> int:
        return max(1, round(units * self.unit))
