"""Finds the frames of a clip in which something moves. N frames, H/W height, width."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from hearai.errors import DataError

THRESHOLD = 0.002
"""Mean absolute difference in brightness to the last kept frame, as a share of full scale (0..1).

For videos of a rendered signer (1280 x 720, 24 frames a second, the signer fills a third of the image) it keeps one
frame in four: a moving hand causes 0.002 to 0.006 per frame, a signer at rest less than 0.0005. Noise with a standard
deviation of 2 in 255 causes 0.0006 at that size, 0.0017 at 256 x 256; raise the threshold for noisier images."""

GRID = 64
"""Frames are compared as GRID x GRID brightness values: means over many pixels, so that camera noise cancels out."""


def select_keyframes(brightness_NHW: np.ndarray, *, threshold: float = THRESHOLD, minimum: int = 2) -> list[int]:
    """Increasing positions of the frames to keep.

    A frame is kept if it differs from the last kept one by more than `threshold`, so slow motion adds up. A still
    beginning is dropped entirely, including its first frame. If fewer than `minimum` frames remain, evenly spaced
    frames are added.

    Args:
        brightness_NHW: floats in 0..1.
        threshold: mean absolute difference, share of full scale.
        minimum: frames; a clip with fewer keeps all of them.
    """
    kept = [0]
    for i in range(1, len(brightness_NHW)):
        if np.abs(brightness_NHW[i] - brightness_NHW[kept[-1]]).mean() > threshold:
            kept.append(i)
    if len(kept) == 1 or kept[1] > 1:  # the second frame equals the first: a still beginning
        del kept[0]
    if len(kept) < minimum:
        spread = np.linspace(0, len(brightness_NHW) - 1, min(minimum, len(brightness_NHW)))
        kept = sorted({*kept, *spread.round().astype(int).tolist()})
    return kept


def read_brightness(paths: Sequence[Path]) -> np.ndarray:
    """The images as (N, GRID, GRID) floats in 0..1.

    Raises:
        DataError: an image is missing or broken.
    """
    return np.stack([_read_brightness(path) for path in paths])


def _read_brightness(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as file:
            file.draft("L", (GRID, GRID))  # JPEGs decode at 1/2, 1/4, 1/8 size if that is enough
            image = file.convert("L").convert("F").resize((GRID, GRID), Image.Resampling.BOX)
    except UnidentifiedImageError:
        raise DataError(f"{path}: cannot decode (not an image); expected a complete JPEG") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot decode ({reason}); expected a complete JPEG") from None
    return np.asarray(image, np.float32) / 255
