"""A confusion matrix as a picture. K classes."""

import numpy as np
from PIL import Image, ImageDraw

SIDE = 480
"""Pixels that the matrix aims at; every class has the same whole number of them."""
MARGIN = 34
FULL, EMPTY, INK = (16, 70, 140), (235, 235, 235), (60, 60, 60)
"""Colours of a share of 1, of a true class without examples, and of the letters; a share of 0 is white."""


def confusion_picture(matrix_KK: np.ndarray) -> np.ndarray:
    """Picture (H, W, 3) uint8 of a confusion matrix: a row per true class, each the shares of its answers.

    Args:
        matrix_KK: counts, true class by predicted class.
    """
    support_K1 = matrix_KK.sum(1, keepdims=True)
    share_KK1 = (matrix_KK / np.maximum(support_K1, 1))[..., None]
    colours_KK3 = 255 + share_KK1 * (np.array(FULL) - 255)
    colours_KK3 = np.where(support_K1[..., None] > 0, colours_KK3, np.array(EMPTY))
    classes = len(matrix_KK)
    cell = max(1, SIDE // classes)
    pixels = colours_KK3.round().astype(np.uint8).repeat(cell, 0).repeat(cell, 1)
    picture = Image.new("RGB", (MARGIN + classes * cell + 1, MARGIN + classes * cell + 1), "white")
    picture.paste(Image.fromarray(pixels), (MARGIN, MARGIN))
    _label(ImageDraw.Draw(picture), classes, cell)
    return np.asarray(picture)


def _label(draw: ImageDraw.ImageDraw, classes: int, cell: int) -> None:
    """A frame, the numbers of the classes (not all, where they would touch), and what is on which side."""
    end = MARGIN + classes * cell
    draw.rectangle((MARGIN - 1, MARGIN - 1, end, end), outline=INK)
    draw.text((2, 2), "true", fill=INK)
    draw.text((MARGIN, 2), "predicted", fill=INK)
    for number in range(0, classes, -(-20 // cell)):
        middle = MARGIN + number * cell + cell // 2
        draw.text((middle, MARGIN - 4), str(number), fill=INK, anchor="mb")
        draw.text((MARGIN - 4, middle), str(number), fill=INK, anchor="rm")
