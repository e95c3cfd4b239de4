"""What was predicted for a clip as a panel of an image: for each head its classes with symbols and shares.

All lengths are pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from hearai.reporting.clip_images.canvas import BAR, GREY, INK, WARNING, fit_text, new_page, text_font
from hearai.reporting.clip_images.symbols import SymbolFont, find_symbol_font
from hearai.reporting.figures import drawable_name, drawable_text
from hearai.sign.hamnosys import HEADS, short_meaning

TEXT, TITLE, LINE = 14, 12, 22
"""Sizes of the fonts, and from one line to the next."""
HEAD_GAP, COLUMN_GAP, SHARE_WIDTH = 10, 32, 44
UNLIKE = "unlike the training clips"
MOST_LINES = 10
"""Classes of a head that are shown; `--top` may ask for more, which the text lists."""


@dataclass(frozen=True)
class Entry:
    """A line of a panel."""

    text: str
    symbol: str | None = None
    share: float | None = None
    """Of the bar behind the line, in [0, 1]; None = `value` has another meaning than a share."""
    value: str = ""
    """At the end of the line."""


@dataclass(frozen=True)
class Section:
    """The classes of a head, or the nearest entries of a lexicon or a dictionary."""

    title: str
    entries: Sequence[Entry]
    is_doubtful: bool = False
    """Whether what it says is better not relied on."""

    @property
    def height(self) -> int:
        return LINE * (1 + len(self.entries)) + HEAD_GAP


def sections_of(row: Mapping[str, Any], most: int = MOST_LINES) -> list[Section]:
    """The sections of a row of `prediction_rows`, each with at most `most` entries; first, doubts about all of them."""
    sections = [Section(UNLIKE, (), is_doubtful=True)] if (row["unlike_training"] or {}).get("unlike") else []
    for head, classes in row["heads"].items():
        listed = [_class_entry(one, named=head in HEADS) for one in classes[:most]]
        is_doubtful = head in row["uncertain"]
        sections.append(Section(f"{head.replace('_', ' ')}{' (uncertain)' * is_doubtful}", listed, is_doubtful))
    if "glosses" in row:
        found = [Entry(one["gloss"], value=f"{one['distance']:.2f}") for one in row["glosses"][:most]]
        sections.append(Section("nearest glosses (number of differing heads)", found))
    if "dictionary" in row:
        entries = [(one, " ".join(filter(None, (one["word"], one["clip"])))) for one in row["dictionary"][:most]]
        found = [Entry(text, value=f"{one['distance']:.3f}") for one, text in entries]
        sections.append(Section("most similar clips (cosine distance)", found))
    return sections


def _class_entry(one: Mapping[str, Any], *, named: bool) -> Entry:
    text = short_meaning(one["name"]) if named else drawable_name(one["name"], one["class"])
    return Entry(text, one["symbol"], one["confidence"], f"{one['confidence']:.0%}")


def most_entries(row: Mapping[str, Any], height: int) -> int:
    """The most entries per section with which a panel of one column fits `height`; at least one."""
    sections = len(sections_of(row))
    return min(MOST_LINES, max(1, (height // sections - HEAD_GAP) // LINE - 1))


def draw_panel(sections: Sequence[Section], width: int, *, columns: int) -> Image.Image:
    """The sections from top to bottom, in columns of about equal height."""
    columns = min(columns, len(sections))
    rows = -(-len(sections) // columns)
    parts = [sections[start : start + rows] for start in range(0, len(sections), rows)]
    height = max(sum(section.height for section in part) for part in parts)
    page, _ = new_page(width, height)
    column_width = (width - COLUMN_GAP * (columns - 1)) // columns
    for number, part in enumerate(parts):
        top = 0
        for section in part:
            page.paste(_draw_section(section, column_width), (number * (column_width + COLUMN_GAP), top))
            top += section.height
    return page


def _draw_section(section: Section, width: int) -> Image.Image:
    page, draw = new_page(width, section.height)
    font = text_font(TITLE)
    colour = WARNING if section.is_doubtful else GREY
    draw.text((0, LINE / 2), fit_text(drawable_text(section.title), font, width), colour, font, anchor="lm")
    symbols = find_symbol_font()
    for number, entry in enumerate(section.entries, start=1):
        top, font = number * LINE, text_font(TEXT, bold=number == 1)
        if entry.share is not None:
            draw.rectangle((0, top + 1, max(1, round(entry.share * (width - SHARE_WIDTH))), top + LINE - 3), BAR)
        left = 6.0
        if glyphs := symbols.text(entry.symbol) if symbols else "":
            left += _draw_symbol(draw, symbols, glyphs, (left, top + LINE / 2))
        room = width - left - SHARE_WIDTH - 8
        draw.text((left, top + LINE / 2), fit_text(drawable_text(entry.text), font, room), INK, font, anchor="lm")
        draw.text((width, top + LINE / 2), entry.value, INK, text_font(TEXT), anchor="rm")
    return page


def _draw_symbol(draw: Any, symbols: SymbolFont | None, glyphs: str, place: tuple[float, float]) -> float:
    """Draws the glyphs; returns the width that they take, with the space after them."""
    assert symbols is not None
    font = symbols.sized(LINE - 4)
    draw.text(place, glyphs, INK, font, anchor="lm")
    return font.getlength(glyphs) + 8
