"""One clip of a demo signer: from labels to images and landmarks."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from hearai.data.demo.arms import arm_parts, paint_parts
from hearai.data.demo.body import posture
from hearai.data.demo.camera import Camera, Pen, rgb
from hearai.data.demo.head import paint_head
from hearai.data.demo.landmarks import landmarks
from hearai.data.demo.signer import Signer

SUPERSAMPLING = 2
"""Images are painted this much larger and reduced, for smooth edges."""
TORSO_OUTLINE = ((0.17, 0.14), (0.46, 0.10), (0.66, 0.02), (0.73, -0.12), (0.60, -0.42), (0.54, -0.9), (0.60, -2.6))
"""Right half of the outline in signer space, x and y."""
NECK_OUTLINE = ((0.13, 0.45, 0), (0.15, 0.12, 0.05), (0, -0.02, 0.1), (-0.15, 0.12, 0.05), (-0.13, 0.45, 0))
RAISED = 0.10
"""How far the shoulder's outline follows a shrug."""


def render_clip(
    labels: Mapping[str, int], signer: Signer, *, frames: int, size: int, rng: np.random.Generator
) -> tuple[list[Image.Image], dict[str, np.ndarray]]:
    """Images (size x size, RGB) and landmarks of a signer showing the labels.

    `labels` maps the heads of `hearai.sign.hamnosys.HEADS` to classes. Landmarks: `face` (T, F, 3; the
    points FACE_POINTS), `left_hand`, `right_hand` (T, 21, 3), `pose` (T, 33, 3), float32, x and y as fractions of
    the image, z smaller = nearer. Drawn right-handed; a left-handed signer is the mirror image.
    """
    scene = posture(labels, signer, frames=frames, rng=rng)
    camera = Camera(signer, size * SUPERSAMPLING)
    parts = arm_parts(scene.dominant, signer, camera=camera, watch=False)
    parts += arm_parts(scene.other, signer, camera=camera, watch=True)
    stage = _stage(signer, size * SUPERSAMPLING, camera=camera, shrug=scene.place.shrug)
    lamp = _light(signer, size)
    images = []
    for frame in range(frames):
        if frame == 0 or scene.progress[frame - 1] < 1:  # once the posture is reached the head keeps still
            behind_arms = stage.copy()
            paint_head(ImageDraw.Draw(behind_arms), scene, signer=signer, camera=camera, frame=frame)
        image = behind_arms.copy()
        paint_parts(ImageDraw.Draw(image), parts, frame=frame)
        image = ImageChops.multiply(image.reduce(SUPERSAMPLING), lamp)
        images.append(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if signer.left_handed else image)
    return images, landmarks(scene, signer, camera)


def _light(signer: Signer, pixels: int) -> Image.Image:
    """Brightness (255 = unchanged), higher on the side of the lamp, to multiply images with."""
    across = np.linspace(-1, 1, pixels) * signer.light_side
    row = (228 * signer.light * (1 + 0.10 * across)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(row[:, None], (pixels, pixels, 3)).copy())


def _stage(signer: Signer, pixels: int, *, camera: Camera, shrug: bool) -> Image.Image:
    """What does not move during a clip: the room and the signer's trunk and neck."""
    image = Image.new("RGB", (pixels, pixels), rgb(signer.wall))
    draw = ImageDraw.Draw(image)
    _paint_room(image, draw, signer=signer)
    pen = Pen(draw, camera, float(camera.see(np.zeros(3)).zoom), lambda points: points)
    _paint_trunk(pen, signer, raised=RAISED if shrug else 0.0)
    return image


def _paint_room(image: Image.Image, draw: ImageDraw.ImageDraw, *, signer: Signer) -> None:
    wall, n = np.array(signer.wall), image.width
    if signer.wall_style == 1:
        ramp = np.linspace(1.08, 0.82, n)[:, None, None] * wall
        image.paste(Image.fromarray(np.broadcast_to(ramp.clip(0, 255).astype(np.uint8), (n, n, 3)).copy()))
    elif signer.wall_style == 2:
        draw.rectangle((0, n * 0.62, n, n), fill=rgb(wall * 0.85))
        draw.line((0, n * 0.62, n, n * 0.62), fill=rgb(wall * 0.7), width=max(1, n // 64))
    elif signer.wall_style == 3:
        draw.rectangle((n * 0.68, n * 0.06, n * 0.96, n * 0.46), fill=rgb(wall * 0.4 + 150), outline=rgb(wall * 0.7))
        draw.line((n * 0.82, n * 0.06, n * 0.82, n * 0.46), fill=rgb(wall * 0.7), width=max(1, n // 64))
    elif signer.wall_style == 4:
        for height in (0.2, 0.45):
            draw.rectangle((0, n * height, n * 0.3, n * (height + 0.025)), fill=rgb(wall * 0.75))


def _paint_trunk(pen: Pen, signer: Signer, *, raised: float) -> None:
    """Torso down to the hips, and neck; `raised` lifts the shoulder of the signing hand."""
    top, skin = np.array(signer.top), np.array(signer.skin)
    below = 1 + 0.6 * (signer.thickness - 1)
    half = [(x * signer.shoulders * (below if y < 0 else 1), y) for x, y in TORSO_OUTLINE]
    lift = [raised if x > 0.4 and y > -0.2 else 0.0 for x, y in TORSO_OUTLINE]
    right = [(x, y + dy, 0.0) for (x, y), dy in zip(half, lift, strict=True)]
    left = [(-x, y, 0.0) for x, y in reversed(half)]
    pen.shape([*right, *left], top, line=top * 0.4)
    pen.shape(NECK_OUTLINE, skin * 0.86)
    pen.line(NECK_OUTLINE[1:4], top * 0.4, width=0.03)
    pen.line([(0, -0.05, 0.1), (0, -2.6, 0.1)], top * 0.8, width=0.02)
