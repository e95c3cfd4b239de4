"""A confusion matrix as an image. K classes, H/W image."""

import numpy as np
from PIL import Image, ImageDraw

TARGET_SIDE = 480
"""Approximate side of the matrix in pixels; a cell has a whole number of them."""
MARGIN = 34
FULL_COLOUR, EMPTY_COLOUR, TEXT_COLOUR = (16, 70, 140), (235, 235, 235), (60, 60, 60)
"""Colours of a share of 1, of a true class without examples, and of text; a share of 0 is white."""


def confusion_image(matrix_KK: np.ndarray) -> np.ndarray:
    """Image (H, W, 3) uint8 of a confusion matrix: one row per true class, with the shares of its predictions.

    Args:
        matrix_KK: counts, true class by predicted class.
    """
    support_K1 = matrix_KK.sum(1, keepdims=True)
    share_KK1 = (matrix_KK / np.maximum(support_K1, 1))[..., None]
    colours_KK3 = 255 + share_KK1 * (np.array(FULL_COLOUR) - 255)
    colours_KK3 = np.where(support_K1[..., None] > 0, colours_KK3, np.array(EMPTY_COLOUR))
    classes = len(matrix_KK)
    cell = max(1, TARGET_SIDE // classes)
    pixels = colours_KK3.round().astype(np.uint8).repeat(cell, 0).repeat(cell, 1)
    side = MARGIN + classes * cell + 1
    image = Image.new("RGB", (side, side), "white")
    image.paste(Image.fromarray(pixels), (MARGIN, MARGIN))
    _draw_labels(ImageDraw.Draw(image), classes, cell)
    return np.asarray(image)


def _draw_labels(draw: ImageDraw.ImageDraw, classes: int, cell: int) -> None:
    """A border, the axis titles, and the numbers of the classes (only some, where they would touch)."""
    end = MARGIN + classes * cell
    draw.rectangle((MARGIN - 1, MARGIN - 1, end, end), outline=TEXT_COLOUR)
    draw.text((2, 2), "true", fill=TEXT_COLOUR)
    draw.text((MARGIN, 2), "predicted", fill=TEXT_COLOUR)
    for number in range(0, classes, -(-20 // cell)):
        middle = MARGIN + number * cell + cell // 2
        draw.text((middle, MARGIN - 4), str(number), fill=TEXT_COLOUR, anchor="mb")
        draw.text((MARGIN - 4, middle), str(number), fill=TEXT_COLOUR, anchor="rm")
