"""Picture files -> upright 8-bit RGB pictures, whatever the file's name says; without torch, so that it starts fast."""

import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from hearai.errors import DataError

MAX_PIXELS = 89_478_485
"""Pixels of the largest picture that is decoded, Pillow's own default; a larger one is a mistake or an attack."""

MAX_RATIO = 50
"""Longest picture, long side by short side: resizing the short side must not make the long one endless."""

_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)  # refused, so not warned of as well

_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error, zlib.error)
"""What Pillow's decoders raise on damaged files."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""What is looked for in a file; Pillow knows forty formats more, one of which starts a program (EPS)."""

_STILLS = {"JPEG", "MPO"}
"""Formats whose first picture is the picture; MPO is a JPEG of a camera that hides a second view behind it."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""{EXIF orientation: what turns the picture upright}, as `PIL.ImageOps.exif_transpose` has them."""


def read_picture(path: Path, *, shorter_side: int | None = None) -> Image.Image:
    """The picture as RGB, 8 bit, turned as its EXIF data says. 16-bit values are scaled, transparency is dropped.

    Args:
        shorter_side: a JPEG may come smaller, but not below this; pixels.

    Raises:
        DataError: the file is missing, damaged, no picture or several, above MAX_PIXELS or MAX_RATIO.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_still(image)
            if shorter_side is not None:
                image.draft("RGB", (shorter_side, shorter_side))  # JPEGs decode at 1/2, 1/4, 1/8 size
            return _upright_rgb(image)
    except (*_DAMAGED, *_TOO_LARGE) as error:
        raise DataError(_refusal(path, error)) from None


def read_with_remarks(path: Path) -> tuple[Image.Image, list[str]]:
    """`read_picture`, and what is unusual about the file, such as `PNG named .jpg`, `CMYK`, `16-bit`, `EXIF-rotated`.

    Raises:
        DataError: as `read_picture`.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_still(image)
            remarks = [f"{image.format} named {path.suffix}"] if image.format not in _STILLS else []
            remarks += ["CMYK"] if image.mode == "CMYK" else []
            remarks += ["16-bit"] if ";16" in str(image.tile) else []
            picture = _upright_rgb(image)
            return picture, [*remarks, *(["EXIF-rotated"] if _orientation(image) in _TURNS else [])]
    except (*_DAMAGED, *_TOO_LARGE) as error:
        raise DataError(_refusal(path, error)) from None


def picture_problem(path: Path) -> str | None:
    """Why `read_picture` would refuse the file; finds cut JPEGs without decoding the whole ones.

    A JPEG counts as whole when its header can be read and the end mark is its last bytes.
    """
    try:
        with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
            _check_still(image)
            if image.format != "JPEG" or not _ends_like_jpeg(file):
                _upright_rgb(image)
    except (*_DAMAGED, *_TOO_LARGE) as error:
        return _refusal(path, error)
    return None


def _check_still(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if max(image.size) > MAX_RATIO * min(image.size):
        raise _Unfit(f"is {image.width} x {image.height} pixels; sides within a factor of {MAX_RATIO} are due")
    number = 1 if image.format in _STILLS else getattr(image, "n_frames", 1)
    if number > 1:
        raise _Unfit(f"holds {number} pictures; a picture that does not move is due")


def _upright_rgb(image: Image.Image) -> Image.Image:
    """Of an opened picture; its orientation may stand behind the pixels, so it is asked for last."""
    picture = _rgb(image)
    turn = _TURNS.get(_orientation(image))
    return picture if turn is None else picture.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        raise _Unfit("has 32-bit pixels, whose range nobody knows; 8 or 16 bit are due")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; 1 = upright, also where the EXIF data is damaged."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except _DAMAGED:
        return 1


class _Unfit(ValueError):
    """A whole picture of a kind that is refused; the message says what was found; what is due."""


def _refusal(path: Path, error: Exception) -> str:
    if isinstance(error, _Unfit):
        return f"{path}: {error}"
    if isinstance(error, _TOO_LARGE):
        return f"{path}: is larger than {MAX_PIXELS // 1_000_000} megapixels by its header; a smaller picture is due"
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, UnidentifiedImageError):  # its text is the path once more
        reason = "no picture" if path.stat().st_size else "an empty file"
    return f"{path}: cannot be decoded ({reason}); a whole JPEG is due"


def _ends_like_jpeg(file: BinaryIO) -> bool:
    file.seek(-2, 2)
    return file.read(2) == b"\xff\xd9"
