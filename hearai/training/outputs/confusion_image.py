"""A confusion matrix as an image. K classes, R of them shown.

The image has a palette: drawn and compressed as RGB, the eight images of a HamNoSys run took a quarter of the CPU time
that a trial costs beyond its epochs.
"""

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
FULL, EMPTY, TEXT = 240, 241, 242
"""Their places in the palette, which begins with shares of 0, 1/240, 2/240, ... 1."""


def confusion_image(confusion: Confusion) -> Image.Image:
    """A square image with a palette (mode `P`): one row per true class, with the shares of its predictions.

    Of more than MOST_DENSE classes only those that occur are shown, at most MOST_SHOWN, and the image says how many.
    """
    classes, remark = list(range(confusion.num_class)), ""
    if confusion.num_class > MOST_DENSE:
        classes = confusion.most_frequent(MOST_SHOWN)
        remark = f" ({len(classes)} of {confusion.num_class:,} classes)"
    support_R1 = confusion.support_K.numpy()[classes][:, None]
    share_RR = confusion.block(classes).numpy() / np.maximum(support_R1, 1)
    places_RR = np.where(support_R1 > 0, (FULL * share_RR).round(), EMPTY).astype(np.uint8)
    cell = max(1, TARGET_SIDE // len(classes))
    matrix_side = len(classes) * cell
    image = Image.new("P", (MARGIN + matrix_side + 1,) * 2)
    image.putpalette(_palette())
    matrix = Image.fromarray(places_RR).resize((matrix_side, matrix_side), Image.Resampling.NEAREST)
    image.paste(matrix, (MARGIN, MARGIN))
    _draw_labels(ImageDraw.Draw(image), classes, cell, f"predicted{remark}")
    return image


def _palette() -> list[int]:
    """Red, green and blue of each place, one after another."""
    share_L1 = np.linspace(0, 1, FULL + 1)[:, None]
    shades_L3 = 255 + share_L1 * (np.array(FULL_COLOUR) - 255)
    return np.concatenate([shades_L3, [EMPTY_COLOUR, TEXT_COLOUR]]).round().astype(int).flatten().tolist()


def _draw_labels(draw: ImageDraw.ImageDraw, classes: Sequence[int], cell: int, title: str) -> None:
    """A border, the axis titles, and the numbers of the classes (only some, where they would touch)."""
    end = MARGIN + len(classes) * cell
    draw.rectangle((MARGIN - 1, MARGIN - 1, end, end), outline=TEXT)
    draw.text((2, 2), "true", fill=TEXT)
    draw.text((MARGIN, 2), title, fill=TEXT)
    widest = max(20, 7 * len(str(classes[-1])))
    for place in range(0, len(classes), -(-widest // cell)):
        middle, number = MARGIN + place * cell + cell // 2, classes[place]
        draw.text((middle, MARGIN - 4), str(number), fill=TEXT, anchor="mb")
        draw.text((MARGIN - 4, middle), str(number), fill=TEXT, anchor="rm")
