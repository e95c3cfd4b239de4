"""Text and pages for images of clips: fonts, lines that fit a width, HamNoSys symbols, PNG files.

All lengths are pixels.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from hearai.files import atomic_write

INK, GREY, PAPER, BAR, EMPTY = "#1f2328", "#636c76", "#ffffff", "#cfe0f5", "#e4e4e4"
"""Colours of text, of small print, of the page, of bars behind shares, of tiles without an image."""
WARNING = "#a04000"
"""Colour of small print about what is better not relied on."""
NEAR_WHITE = 247
"""Colours whose channels are all at least this bright are white where a palette is made."""
MARGIN = 24
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

Font = ImageFont.FreeTypeFont


@functools.cache
def text_font(size: int, *, bold: bool = False) -> Font:
    """The font of all figures, DejaVu Sans, which comes with matplotlib."""
    from matplotlib.font_manager import FontProperties, findfont

    return ImageFont.truetype(findfont(FontProperties(weight="bold" if bold else "normal")), size)


def fit_text(text: str, font: Font, width: float) -> str:
    """The text, shortened with an ellipsis where it is wider than `width`."""
    if font.getlength(text) <= width:
        return text
    shown = len(text)
    while shown and font.getlength(text[:shown].rstrip() + ELLIPSIS) > width:
        shown -= 1
    return text[:shown].rstrip() + ELLIPSIS


def new_page(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty page, and what draws on it."""
    page = Image.new("RGB", (width, height), PAPER)
    return page, ImageDraw.Draw(page)


def save_png(page: Image.Image, path: Path, *, colours: int | None = None, keep: Sequence[str] = ()) -> None:
    """Writes a page, atomically.

    Args:
        colours: of a palette, which makes the file several times smaller; None = all.
        keep: colours of thin lines, which are in the palette however few pixels have them.
    """
    with atomic_write(path) as temporary:
        shown = page if colours is None else reduce_colours(page, colours, keep)
        shown.save(temporary, format="PNG", optimize=True)


def reduce_colours(page: Image.Image, colours: int, keep: Sequence[str] = (), *, dither: bool = True) -> Image.Image:
    """The page with a palette of its own of up to `colours` colours, among them PAPER and those to keep.

    dither: mix colours that the palette lacks; for photographs, not for text.
    """
    kept = [ImageColor.getrgb(colour) for colour in (PAPER, *keep)]
    found = np.reshape(page.quantize(colours - len(kept)).getpalette() or [], (-1, 3))[: colours - len(kept)]
    found[found.min(1) >= NEAR_WHITE] = 255  # or a page would be slightly tinted
    palette = Image.new("P", (1, 1))
    palette.putpalette([*found.flatten().tolist(), *(channel for colour in kept for channel in colour)])
    return page.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE)
