"""Draws what does not move during a clip: the room and the demo signer's trunk and neck."""

import numpy as np
from PIL import Image, ImageDraw

from hearai.data.demo.camera import Camera
from hearai.data.demo.face import rgb
from hearai.data.demo.signer import Signer


def stage(signer: Signer, pixels: int, *, shrug: float = 0.0) -> Image.Image:
    """Room and trunk as a picture; `shrug` lifts the shoulder of the signing hand."""
    picture = Image.new("RGB", (pixels, pixels), rgb(signer.wall))
    draw = ImageDraw.Draw(picture)
    _room(picture, draw, signer=signer)
    _trunk(draw, signer, camera=Camera(signer, pixels), shrug=shrug)
    return picture


def light(signer: Signer, pixels: int) -> Image.Image:
    """Brightness (255 = unchanged) brighter on the side the lamp is on, to multiply pictures with."""
    across = np.linspace(-1, 1, pixels) * signer.light_side
    row = 228 * signer.light * (1 + 0.10 * across)
    return Image.fromarray(np.broadcast_to(row.clip(0, 255).astype(np.uint8), (pixels, pixels)))


def _room(picture: Image.Image, draw: ImageDraw.ImageDraw, *, signer: Signer) -> None:
    wall, n = np.array(signer.wall), picture.width
    if signer.wall_style == 1:
        ramp = np.linspace(1.08, 0.82, n)[:, None, None] * wall
        picture.paste(Image.fromarray(np.broadcast_to(ramp.clip(0, 255).astype(np.uint8), (n, n, 3)).copy()))
    elif signer.wall_style == 2:
        draw.rectangle((0, n * 0.62, n, n), fill=rgb(wall * 0.85))
        draw.line((0, n * 0.62, n, n * 0.62), fill=rgb(wall * 0.7), width=max(1, n // 64))
    elif signer.wall_style == 3:
        draw.rectangle((n * 0.68, n * 0.06, n * 0.96, n * 0.46), fill=rgb(wall * 0.4 + 150), outline=rgb(wall * 0.7))
        draw.line((n * 0.82, n * 0.06, n * 0.82, n * 0.46), fill=rgb(wall * 0.7), width=max(1, n // 64))
    elif signer.wall_style == 4:
        for height in (0.2, 0.45):
            draw.rectangle((0, n * height, n * 0.3, n * (height + 0.025)), fill=rgb(wall * 0.75))


def _trunk(draw: ImageDraw.ImageDraw, signer: Signer, *, camera: Camera, shrug: float) -> None:
    """Neck, shoulders and torso down to the hips."""
    top, skin = np.array(signer.top), np.array(signer.skin)
    wide, thick = signer.shoulders, signer.thickness

    def at(points: list[tuple[float, float, float]]) -> list[tuple[float, float]]:
        return [tuple(p) for p in camera.see(np.array(points)).uv.tolist()]

    half = [
        (0.17, 0.14),
        (0.46, 0.10),
        (0.66, 0.02),
        (0.73, -0.12),
        (0.60, -0.42),
        (0.54, -0.9),
        (0.60, -2.6),
    ]
    width = 1 + 0.6 * (thick - 1)
    right = [(x * wide * (width if y < 0 else 1), y + (shrug if x > 0.4 and y > -0.2 else 0), 0) for x, y in half]
    left = [(-x * wide * (width if y < 0 else 1), y, 0) for x, y in half]
    torso = at(right + left[::-1])
    unit = float(camera.see(np.zeros(3)).zoom)
    draw.polygon(torso, fill=rgb(top))
    draw.line([*torso, torso[0]], fill=rgb(top * 0.4), width=max(1, round(0.025 * unit)))
    neck = at([(0.13, 0.45, 0), (0.15, 0.12, 0.05), (0, -0.02, 0.1), (-0.15, 0.12, 0.05), (-0.13, 0.45, 0)])
    draw.polygon(neck, fill=rgb(skin * 0.86))
    draw.line(neck[1:4], fill=rgb(top * 0.4), width=max(1, round(0.03 * unit)))
    middle = at([(0, -0.05, 0.1), (0, -2.6, 0.1)])
    draw.line(middle, fill=rgb(top * 0.8), width=max(1, round(0.02 * unit)))
