"""The frames of a clip in which something moves. N frames, H/W picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from hearai.errors import DataError

THRESHOLD = 0.002
"""Mean absolute difference in brightness to the last kept frame, as a share of full scale (0..1).

Of a rendered signer's videos (1280 x 720, 24 frames a second, the signer fills a third of the picture) it keeps one
frame in four: a hand on its way makes 0.002 to 0.006 a frame, a signer at rest less than 0.0005. Noise with a standard
deviation of 2 in 255 makes 0.0006 at that size, 0.0017 at 256 x 256; raise the threshold where pictures are noisier."""

GRID = 64
"""Frames are compared as GRID x GRID brightnesses: means over many pixels, so that noise of the camera cancels out."""


def select_keyframes(brightness_NHW: np.ndarray, *, threshold: float = THRESHOLD, minimum: int = 2) -> list[int]:
    """Rising places of the frames to keep.

    A frame is kept when it differs from the last kept one by more than `threshold`, so slow motion adds up. A still
    beginning goes wholly, its first frame too. Where fewer than `minimum` are left, evenly spread frames join them.

    Args:
        brightness_NHW: floats in 0..1.
        threshold: mean absolute difference, share of full scale.
        minimum: frames; a clip with fewer keeps all of its own.
    """
    kept = [0]
    for i in range(1, len(brightness_NHW)):
        if np.abs(brightness_NHW[i] - brightness_NHW[kept[-1]]).mean() > threshold:
            kept.append(i)
    if len(kept) == 1 or kept[1] > 1:  # the second frame looks like the first: a still beginning
        del kept[0]
    if len(kept) < minimum:
        spread = np.linspace(0, len(brightness_NHW) - 1, min(minimum, len(brightness_NHW)))
        kept = sorted({*kept, *spread.round().astype(int).tolist()})
    return kept


def read_brightness(paths: Sequence[Path]) -> np.ndarray:
    """The pictures as (N, GRID, GRID) floats in 0..1.

    Raises:
        DataError: a picture is missing or broken.
    """
    return np.stack([_brightness(path) for path in paths])


def _brightness(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as file:
            file.draft("L", (GRID, GRID))  # JPEGs decode at 1/2, 1/4, 1/8 size where that is enough
            picture = file.convert("L").convert("F").resize((GRID, GRID), Image.Resampling.BOX)
    except UnidentifiedImageError:
        raise DataError(f"{path}: cannot be decoded (no picture); a whole JPEG is due") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be decoded ({reason}); a whole JPEG is due") from None
    return np.asarray(picture, np.float32) / 255
