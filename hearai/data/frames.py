"""Frame files -> picture tensors. C/H/W channels, height, width."""

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import torch
from PIL import Image, UnidentifiedImageError
from torchvision.transforms.v2 import functional as F

from hearai.config import Config
from hearai.data.annotations import Clip, raise_problems
from hearai.errors import DataError


def read_frame(path: Path, *, resize: int | None = None, crop: int | None = None) -> torch.Tensor:
    """The picture as uint8 (3, H, W).

    Args:
        resize: length of the shorter side, pixels; None keeps the size.
        crop: side of the centre square, pixels; a smaller picture is padded with black. None = no crop.

    Raises:
        DataError: the file is missing or broken.
    """
    try:
        with Image.open(path) as file:
            if resize is not None:
                file.draft("RGB", (resize, resize))  # JPEGs decode at 1/2, 1/4, 1/8 size where that is enough
            image = file.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(_undecodable(path, error)) from None
    if resize is not None:
        image = F.resize(image, [resize], antialias=True)
    picture_CHW = F.pil_to_tensor(image)
    return picture_CHW if crop is None else F.center_crop(picture_CHW, [crop, crop])


def build_reader(config: Config) -> Callable[[Path], torch.Tensor]:
    """`read_frame` with the resize and crop of the config; they are also its `keywords`."""
    parameters = config.augmentations_parameters
    return functools.partial(
        read_frame,
        resize=parameters.resize_size if parameters.apply_resize else None,
        crop=parameters.center_crop_size if parameters.apply_center_crop else None,
    )


def check_images(clips: Iterable[Clip], workers: int = 0) -> None:
    """Opens every picture that the clips use; finds broken and truncated ones without decoding the good ones.

    Args:
        workers: threads that read; 0 = one.

    Raises:
        DataError: every picture that cannot be decoded.
    """
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        raise_problems([problem for problems in pool.map(_clip_problems, clips) for problem in problems])


def _clip_problems(clip: Clip) -> list[str]:
    paths = (clip.frame_path(frame) for frame in range(clip.start, clip.end + 1))
    return [problem for path in paths if (problem := _image_problem(path))]


def _image_problem(path: Path) -> str | None:
    try:
        with path.open("rb") as file, Image.open(file) as image:
            if image.format == "JPEG" and _ends_like_jpeg(file):
                return None
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return _undecodable(path, error)
    return None


def _undecodable(path: Path, error: Exception) -> str:
    unidentified = isinstance(error, UnidentifiedImageError)  # its text is the path once more
    reason = "no picture" if unidentified else getattr(error, "strerror", None) or str(error)
    return f"{path}: cannot be decoded ({reason}); a whole JPEG is due"


def _ends_like_jpeg(file: BinaryIO) -> bool:
    file.seek(-2, 2)
    return file.read(2) == b"\xff\xd9"
