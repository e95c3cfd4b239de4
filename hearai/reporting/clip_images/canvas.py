"""Text and pages for images of clips: fonts, lines that fit a width, HamNoSys symbols, PNG files.

All lengths are pixels.
"""

import functools
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hearai.files import atomic_write

INK, GREY, PAPER, BAR, EMPTY = "#1f2328", "#636c76", "#ffffff", "#cfe0f5", "#e4e4e4"
"""Colours of text, of small print, of the page, of bars behind shares, of tiles without an image."""
WARNING = "#a04000"
"""Colour of small print about what is better not relied on."""
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


def save_png(page: Image.Image, path: Path, *, colours: int | None = None) -> None:
    """Writes a page, atomically. colours: of a palette, which makes the file several times smaller; None = all."""
    with atomic_write(path) as temporary:
        shown = page if colours is None else page.quantize(colours, dither=Image.Dither.FLOYDSTEINBERG)
        shown.save(temporary, format="PNG", optimize=True)
