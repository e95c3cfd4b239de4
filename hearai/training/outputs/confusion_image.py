"""A confusion matrix as an image. K classes, R of them shown, H/W image."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from hearai.training.outputs.confusion import MOST_DENSE, Confusion

TARGET_SIDE = 480
"""Approximate side of the matrix in pixels; a cell has a whole number of them."""
MARGIN = 34
MOST_SHOWN = 100
"""Classes shown of more than MOST_DENSE; all of them occur."""
FULL_COLOUR, EMPTY_COLOUR, TEXT_COLOUR = (16, 70, 140), (235, 235, 235), (60, 60, 60)
"""Colours of a share of 1, of a true class without examples, and of text; a share of 0 is white."""


def confusion_image(confusion: Confusion) -> np.ndarray:
    """Image (H, W, 3) uint8 of a confusion matrix: one row per true class, with the shares of its predictions.

    Of more than MOST_DENSE classes only those that occur are shown, at most MOST_SHOWN, and the image says how many.
    """
    classes, remark = list(range(confusion.num_class)), ""
    if confusion.num_class > MOST_DENSE:
        classes = confusion.most_frequent(MOST_SHOWN)
        remark = f" ({len(classes)} of {confusion.num_class:,} classes)"
    support_R1 = confusion.support_K.numpy()[classes][:, None]
    share_RR1 = (confusion.block(classes).numpy() / np.maximum(support_R1, 1))[..., None]
    colours_RR3 = 255 + share_RR1 * (np.array(FULL_COLOUR) - 255)
    colours_RR3 = np.where(support_R1[..., None] > 0, colours_RR3, np.array(EMPTY_COLOUR))
    cell = max(1, TARGET_SIDE // len(classes))
    pixels = colours_RR3.round().astype(np.uint8).repeat(cell, 0).repeat(cell, 1)
    side = MARGIN + len(classes) * cell + 1
    image = Image.new("RGB", (side, side), "white")
    image.paste(Image.fromarray(pixels), (MARGIN, MARGIN))
    _draw_labels(ImageDraw.Draw(image), classes, cell, f"predicted{remark}")
    return np.asarray(image)


def _draw_labels(draw: ImageDraw.ImageDraw, classes: Sequence[int], cell: int, title: str) -> None:
    """A border, the axis titles, and the numbers of the classes (only some, where they would touch)."""
    end = MARGIN + len(classes) * cell
    draw.rectangle((MARGIN - 1, MARGIN - 1, end, end), outline=TEXT_COLOUR)
    draw.text((2, 2), "true", fill=TEXT_COLOUR)
    draw.text((MARGIN, 2), title, fill=TEXT_COLOUR)
    widest = max(20, 7 * len(str(classes[-1])))
    for place in range(0, len(classes), -(-widest // cell)):
        middle, number = MARGIN + place * cell + cell // 2, classes[place]
        draw.text((middle, MARGIN - 4), str(number), fill=TEXT_COLOUR, anchor="mb")
        draw.text((MARGIN - 4, middle), str(number), fill=TEXT_COLOUR, anchor="rm")
