"""Image files -> upright 8-bit RGB images, whatever the file extension. Imports no torch, so that it starts fast."""

import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from hearai.errors import DataError

MAX_PIXELS = 89_478_485
"""Pixels of the largest image that is decoded, Pillow's default; a larger one is a mistake or an attack."""

MAX_ASPECT_RATIO = 50
"""Of the longer to the shorter side: resizing the shorter side must not make the longer one huge."""

_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)  # refused, so no warning is needed

_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error, zlib.error)
"""What Pillow's decoders raise on damaged files."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""The formats that are tried; Pillow knows forty more, one of which starts a program (EPS)."""

_STILL_FORMATS = {"JPEG", "MPO"}
"""Formats of which the first image is used; MPO is a JPEG of a camera followed by a second view."""

_ORIENTATION = 0x0112
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""{EXIF orientation: what turns the image upright}, as in `PIL.ImageOps.exif_transpose`."""


def read_image(path: Path, *, shorter_side: int | None = None) -> Image.Image:
    """The image as 8-bit RGB, upright according to its EXIF data. 16-bit values are scaled, transparency is dropped.

    Args:
        shorter_side: allows a JPEG to be decoded at a smaller size, but not below this; pixels.

    Raises:
        DataError: the file is missing, damaged, not an image, animated, above MAX_PIXELS or MAX_ASPECT_RATIO.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_supported(image)
            if shorter_side is not None:
                image.draft("RGB", (shorter_side, shorter_side))  # JPEGs decode at 1/2, 1/4, 1/8 size
            return _upright_rgb(image)
    except (*_DAMAGED, *_TOO_LARGE) as error:
        raise DataError(_message(path, error)) from None


def read_image_and_traits(path: Path) -> tuple[Image.Image, list[str]]:
    """`read_image`, and what is unusual about the file, such as `PNG named .jpg`, `CMYK`, `16-bit`, `EXIF-rotated`.

    Raises:
        DataError: as `read_image`.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_supported(image)
            traits = [f"{image.format} named {path.suffix}"] if image.format not in _STILL_FORMATS else []
            traits += ["CMYK"] if image.mode == "CMYK" else []
            traits += ["16-bit"] if ";16" in str(image.tile) else []
            upright = _upright_rgb(image)
            traits += ["EXIF-rotated"] if _orientation(image) in _TRANSPOSES else []
            return upright, traits
    except (*_DAMAGED, *_TOO_LARGE) as error:
        raise DataError(_message(path, error)) from None


def image_problem(path: Path) -> str | None:
    """Why `read_image` would refuse the file; finds truncated JPEGs without decoding the complete ones.

    A JPEG counts as complete if its header can be read and it ends with the end marker.
    """
    try:
        with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
            _check_supported(image)
            if image.format != "JPEG" or not _has_jpeg_end(file):
                _upright_rgb(image)
    except (*_DAMAGED, *_TOO_LARGE) as error:
        return _message(path, error)
    return None


def _check_supported(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if max(image.size) > MAX_ASPECT_RATIO * min(image.size):
        raise _Unsupported(
            f"has {image.width} x {image.height} pixels; expected an aspect ratio of at most {MAX_ASPECT_RATIO}"
        )
    count = 1 if image.format in _STILL_FORMATS else getattr(image, "n_frames", 1)
    if count > 1:
        raise _Unsupported(f"contains {count} images; expected a still image")


def _upright_rgb(image: Image.Image) -> Image.Image:
    """Decodes an opened image; its orientation may be stored behind the pixels, so it is read last."""
    rgb = _to_rgb(image)
    transpose = _TRANSPOSES.get(_orientation(image))
    return rgb if transpose is None else rgb.transpose(transpose)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow's conversion clips at 255
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        raise _Unsupported("has 32-bit pixels of unknown range; expected 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; 1 = upright, also if the EXIF data is damaged."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except _DAMAGED:
        return 1


class _Unsupported(ValueError):
    """An intact image of a kind that is refused; the message is `what was found; what is expected`."""


def _message(path: Path, error: Exception) -> str:
    if isinstance(error, _Unsupported):
        return f"{path}: {error}"
    if isinstance(error, _TOO_LARGE):
        return f"{path}: larger than {MAX_PIXELS // 1_000_000} megapixels by its header; expected a smaller image"
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, UnidentifiedImageError):  # its text only repeats the path
        reason = "not an image" if path.stat().st_size else "empty file"
    return f"{path}: cannot decode ({reason}); expected a complete JPEG"


def _has_jpeg_end(file: BinaryIO) -> bool:
    file.seek(-2, 2)
    return file.read(2) == b"\xff\xd9"
