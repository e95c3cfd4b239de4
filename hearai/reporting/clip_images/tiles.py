"""Frames of a clip as tiles of an image, with its landmarks drawn over them.

F frames from frame 0 on, P points of hands and body. All lengths are pixels.
"""

import contextlib
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from hearai.data.annotations.clip import Clip
from hearai.data.images import read_image
from hearai.data.landmarks.clip_points import read_image_points
from hearai.errors import DataError
from hearai.reporting.clip_images.canvas import EMPTY, GREY, fit_text, text_font
from hearai.sign.skeleton import BODY, BONES, POINTS, RIGHT

LEFT_COLOUR, RIGHT_COLOUR, BODY_COLOUR = "#ff9d2e", "#21c7d9", "#9be564"
"""Of the signer's left hand, right hand and body: distinct with each type of colour blindness, on skin and clothes."""
LANDMARK_COLOURS = (LEFT_COLOUR, RIGHT_COLOUR, BODY_COLOUR)
COLOUR_KEY = "landmarks: the signer's left hand orange, right hand blue, body green"
BACKGROUND = "#26292e"
"""Of tiles with landmarks and no image."""
LEGS = BODY + 23
"""The first point below the chest, which landmarks without an image are not scaled to."""
MIN_EXTENT = 0.1
"""Share of an image that a tile of landmarks shows at least."""

_NOSE, _PALMS = BODY, range(BODY + 17, BODY + 23)
_FACE_LINKS = {(_NOSE, BODY + point) for point in (9, 10, 11, 12)}
DRAWN_BONES = [bone for bone in BONES if bone not in _FACE_LINKS and not {*bone} & {*_PALMS}]
"""Without the lines from the nose, which cross the face, and the body's coarse hands, which lie over the fine ones."""

log = logging.getLogger(__name__)


def spread(count: int, most: int) -> list[int]:
    """Up to `most` of `count` positions: the centres of equal parts, in ascending order."""
    shown = min(count, most)
    return [(2 * part + 1) * count // (2 * shown) for part in range(shown)]


def spread_frames(clip: Clip, most: int) -> list[int]:
    """Up to `most` frames of a clip, spread over it."""
    return [clip.start + place for place in spread(clip.end - clip.start + 1, most)]


@dataclass(frozen=True)
class ClipTiles:
    """Draws the frames of a clip."""

    clip: Clip
    points_FP3: np.ndarray | None
    """Shares of the image, NaN where unknown; None = no landmarks."""
    has_images: bool
    size: tuple[int, int]
    """(width, height) of a tile."""

    def draw(self, frame: int) -> Image.Image:
        """The tile of a frame; it says so where its image cannot be decoded."""
        if not self.has_images:
            return self._with_landmarks(Image.new("RGB", self.size, BACKGROUND), frame, self._window)
        try:
            image = read_image(self.clip.frame_path(frame), shorter_side=min(self.size))
        except DataError:
            return self._unreadable()
        return self._with_landmarks(image.resize(self.size, Image.Resampling.LANCZOS), frame, (0, 0, 1, 1))

    def _unreadable(self) -> Image.Image:
        tile = Image.new("RGB", self.size, EMPTY)
        font = text_font(12)
        text = fit_text("cannot decode", font, self.size[0] - 8)
        ImageDraw.Draw(tile).text((self.size[0] / 2, self.size[1] / 2), text, GREY, font, anchor="mm")
        return tile

    @functools.cached_property
    def _window(self) -> tuple[float, float, float, float]:
        """(left, top, width, height), in shares of the image, of the square that holds the signer in every frame."""
        assert self.points_FP3 is not None, "a clip has images, landmarks or both"
        upper_N2 = self.points_FP3[self.clip.start : self.clip.end + 1, :LEGS, :2].reshape(-1, 2)
        known_N2 = upper_N2[~np.isnan(upper_N2[:, 0])]
        if not len(known_N2):
            return (0, 0, 1, 1)
        low, high = known_N2.min(0), known_N2.max(0)
        side = max(*(high - low) * 1.15, MIN_EXTENT)
        left, top = (low + high - side) / 2
        return (left, top, side, side)

    def _with_landmarks(self, tile: Image.Image, frame: int, window: tuple[float, float, float, float]) -> Image.Image:
        """The tile with the landmarks of the frame, as far as they are known."""
        if self.points_FP3 is None or frame >= len(self.points_FP3):
            return tile
        left, top, width, height = window
        places_P2 = (self.points_FP3[frame, :, :2] - (left, top)) / (width, height) * tile.size
        draw, thickness = ImageDraw.Draw(tile), max(1, round(min(tile.size) / 160))
        known = {point for point in range(POINTS) if not np.isnan(places_P2[point, 0])}
        for a, b in DRAWN_BONES:
            if a in known and b in known:
                ends = [tuple(map(float, places_P2[point])) for point in (a, b)]
                draw.line(ends, _colour(a), thickness)
        return tile


def clip_tiles(clip: Clip, side: int) -> ClipTiles:
    """The tiles of a clip: its images with the landmarks of its file, or landmarks alone where there are no images.

    Args:
        side: of the longer side of a tile.
    """
    points_FP3 = _points(clip)
    if points_FP3 is not None and not clip.frame_path(clip.start).exists():
        return ClipTiles(clip, points_FP3, has_images=False, size=(side, side))
    return ClipTiles(clip, points_FP3, has_images=True, size=_tile_size(clip, side))


def _points(clip: Clip) -> np.ndarray | None:
    if not clip.landmarks_path.exists():
        return None
    try:
        return read_image_points(clip.landmarks_path, clip.end + 1)
    except DataError as error:  # a model on images does not read them
        log.warning("%s; its landmarks are not drawn", error.problems[0])
        return None


def _tile_size(clip: Clip, side: int) -> tuple[int, int]:
    """In the proportions of the first image that can be decoded; a square without one."""
    for frame in spread_frames(clip, 4):
        with contextlib.suppress(DataError):
            width, height = read_image(clip.frame_path(frame), shorter_side=side).size
            scale = side / max(width, height)
            return (max(1, round(scale * width)), max(1, round(scale * height)))
    return (side, side)


def _colour(point: int) -> str:
    if point >= BODY:
        return BODY_COLOUR
    return RIGHT_COLOUR if point >= RIGHT else LEFT_COLOUR


def paste_row(page: Image.Image, tiles: Sequence[Image.Image], left: int, top: int, gap: int) -> None:
    """Pastes tiles beside each other."""
    for tile in tiles:
        page.paste(tile, (left, top))
        left += tile.width + gap
