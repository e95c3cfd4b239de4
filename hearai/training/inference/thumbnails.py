"""Small images of a clip: a few of its frames, or its landmarks drawn where a model reads no images."""

import base64
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.frame_sampling import sample_frames
from hearai.data.images import read_image
from hearai.data.landmarks.clip_points import read_landmarks
from hearai.sign.skeleton import BODY, BONES

FRAMES = 3
"""Images of a clip, evenly spaced."""
HEIGHT, MAX_WIDTH = 96, 128
"""Pixels; a wider image loses its sides."""
MAX_BYTES = 3_000
"""Of an image."""
QUALITIES = (75, 60, 45, 30, 15)
"""Of JPEG; the first one with which an image is small enough, or the last one."""
PAPER, INK, MARGIN = "#ffffff", "#2457c5", 6
LEGS = range(BODY + 25, BODY + 33)
"""Points below the hips, which are not drawn."""


def clip_thumbnails(clip: Clip, config: Config) -> list[str]:
    """Up to FRAMES JPEG files as base64, of evenly spaced frames.

    Raises:
        DataError: a file of the clip is missing or damaged.
    """
    frames = sample_frames(clip.start, clip.end, num_segments=FRAMES)
    if config.train_parameters.frames:
        images = [_shrink(read_image(clip.frame_path(frame), shorter_side=HEIGHT)) for frame in frames]
    else:
        images = _drawn(clip, frames)
    return [base64.b64encode(_jpeg(image)).decode("ascii") for image in images]


def _shrink(image: Image.Image) -> Image.Image:
    width = max(1, round(image.width * HEIGHT / image.height))
    small = image.resize((width, HEIGHT), Image.Resampling.LANCZOS)
    spare = max(0, width - MAX_WIDTH)
    return small.crop((spare // 2, 0, width - (spare - spare // 2), HEIGHT))


def _drawn(clip: Clip, frames: Sequence[int]) -> list[Image.Image]:
    """The bones of hands and upper body, in one scale for all frames."""
    points_TPC = read_landmarks(clip, frames)
    known_TP = points_TPC[..., 3] > 0
    known_TP[:, LEGS] = False
    xy_N2 = points_TPC[..., :2][known_TP]
    if not len(xy_N2):
        return []
    low_2, high_2 = xy_N2.min(0).values, xy_N2.max(0).values
    scale = (HEIGHT - 2 * MARGIN) / max(float((high_2 - low_2).max()), 1e-6)
    places_TP2 = (points_TPC[..., :2] - (low_2 + high_2) / 2) * scale + HEIGHT / 2
    images = []
    for places_P2, known_P in zip(places_TP2.tolist(), known_TP.tolist(), strict=True):
        image = Image.new("RGB", (HEIGHT, HEIGHT), PAPER)
        draw = ImageDraw.Draw(image)
        for one, other in BONES:
            if known_P[one] and known_P[other]:
                draw.line([tuple(places_P2[one]), tuple(places_P2[other])], fill=INK, width=1)
        images.append(image)
    return images


def _jpeg(image: Image.Image) -> bytes:
    content = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=quality, optimize=True)
        content = buffer.getvalue()
        if len(content) <= MAX_BYTES:
            break
    return content
