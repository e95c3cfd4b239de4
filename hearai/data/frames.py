"""Frame files -> image tensors. C/H/W channels, height, width."""

import functools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torchvision.transforms.v2 import functional as F

from hearai.config.config import Config
from hearai.data.annotations.clip import Clip
from hearai.data.annotations.problems import Problems
from hearai.data.images import image_problem, read_image


def read_frame(path: Path, *, resize: int | None = None, crop: int | tuple[int, int] | None = None) -> torch.Tensor:
    """The image as uint8 (3, H, W), upright; see `read_image` for the formats.

    Args:
        resize: length of the shorter side, pixels; None keeps the size.
        crop: side of the centre square, or (height, width), pixels; a smaller image is padded with black.
            None = no crop.

    Raises:
        DataError: the file is missing, damaged, not an image, animated or far too large.
    """
    image = read_image(path, shorter_side=resize)
    if resize is not None:
        image = F.resize(image, [resize], antialias=True)
    image_CHW = F.pil_to_tensor(image)
    if crop is None:
        return image_CHW
    return F.center_crop(image_CHW, [crop, crop] if isinstance(crop, int) else list(crop))


def build_reader(config: Config) -> "functools.partial[torch.Tensor]":
    """`read_frame` with the resize and crop of the config; they are also its `keywords`."""
    parameters = config.augmentations_parameters
    height, width = parameters.crop_sides
    crop = height if height == width else (height, width)  # caches of features are named after these arguments
    return functools.partial(
        read_frame,
        resize=parameters.resize_size if parameters.apply_resize else None,
        crop=crop if parameters.apply_center_crop else None,
    )


def check_images(clips: Iterable[Clip], workers: int = 0) -> None:
    """Opens every image that the clips use; finds unusable and truncated ones without decoding the good JPEGs.

    Args:
        workers: threads that read; 0 = one.

    Raises:
        DataError: every image that cannot be decoded.
    """
    problems = Problems()
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for messages in pool.map(_clip_problems, clips):
            problems.add_all("images", messages)
    problems.raise_any()


def _clip_problems(clip: Clip) -> list[str]:
    paths = (clip.frame_path(frame) for frame in range(clip.start, clip.end + 1))
    return [problem for path in paths if (problem := image_problem(path))]
