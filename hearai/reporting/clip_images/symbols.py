"""HamNoSys symbols in images, where a font that has them is installed.

The characters are in a private-use range, in which other fonts have other glyphs, so a font is recognised by its name:
that of the DGS-Korpus project is `HamNoSysUnicode.ttf`. It is found in the font folders of the system and the user.
"""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont

from hearai.sign.hamnosys.symbols import SHIFTED

FONT_NAME = "hamnosys"
"""Part of the file name of a font with the symbols; case is ignored."""


@dataclass(frozen=True)
class SymbolFont:
    """A font with HamNoSys symbols."""

    path: Path
    characters: frozenset[int]
    """Code points of its glyphs."""

    def sized(self, size: int) -> ImageFont.FreeTypeFont:
        """The font at a size in pixels."""
        return ImageFont.truetype(self.path, size)

    def text(self, symbol: str | None) -> str:
        """The characters of a class's symbol, such as `U+E000 hamfist`; empty without one that the font has."""
        shown = []
        for code in code_points(symbol):
            found = next((point for point in (code, code + SHIFTED) if point in self.characters), None)
            if found is None:
                return ""
            shown.append(chr(found))
        return "".join(shown)


def code_points(symbol: str | None) -> list[int]:
    """Code points in the description of a class's symbol; remarks in parentheses are left out."""
    return [int(code, 16) for code in re.findall(r"U\+([0-9A-F]{4})", re.sub(r"\(.*", "", symbol or ""))]


@functools.cache
def find_symbol_font() -> SymbolFont | None:
    """The first installed font with HamNoSys symbols; None if there is none, or it cannot be read."""
    from matplotlib.font_manager import findSystemFonts, get_font

    for path in sorted(map(Path, findSystemFonts())):
        if FONT_NAME in path.stem.lower():
            try:
                return SymbolFont(path, frozenset(get_font(str(path)).get_charmap()))
            except (OSError, RuntimeError):  # another file of that name, or a damaged one: the words alone are shown
                continue
    return None
