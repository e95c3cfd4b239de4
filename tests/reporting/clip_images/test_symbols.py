"""Symbols of HamNoSys in images: found by the name of the font, and only those that the font has."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from hearai.reporting.clip_images.prediction_panel import Entry, Section, draw_panel
from hearai.reporting.clip_images.symbols import code_points, find_symbol_font
from hearai.sign.hamnosys import HEADS


@pytest.fixture(autouse=True)
def no_memory() -> Iterator[None]:
    find_symbol_font.cache_clear()
    yield
    find_symbol_font.cache_clear()


def write_font(path: Path, *codes: int) -> Path:
    """A font whose glyphs are filled squares."""
    pen = TTGlyphPen(None)
    for number, corner in enumerate([(0, 0), (0, 800), (800, 800), (800, 0)]):
        (pen.lineTo if number else pen.moveTo)(corner)
    pen.closePath()
    square = pen.glyph()
    names = [".notdef", *(f"g{code:04X}" for code in codes)]
    font = FontBuilder(1000)
    font.setupGlyphOrder(names)
    font.setupCharacterMap(dict(zip(codes, names[1:], strict=True)))
    font.setupGlyf(dict.fromkeys(names, square))
    font.setupHorizontalMetrics({name: (1000, 0) for name in names})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "HamNoSysUnicode", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return path


@pytest.fixture
def fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty font folder, which is the only one of the system."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    find = lambda: sorted(map(str, folder.iterdir()))  # noqa: E731
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", find)
    return folder


def test_code_points_are_those_of_the_class() -> None:
    base = HEADS["hand_shape_base_form"].classes
    assert code_points(base[0].symbol) == [0xE000]
    assert code_points(HEADS["symmetry_operator"].classes[1].symbol) == [0xE0E9, 0xE010, 0xE0C7]
    assert code_points(HEADS["symmetry_operator"].classes[0].symbol) == [], "(none) / ..."
    assert code_points(HEADS["hand_location_x"].classes[3].symbol) == [0xE058], "not those of the remark"
    assert code_points(None) == []


def test_a_font_is_found_by_its_name_and_may_be_shifted(fonts: Path) -> None:
    write_font(fonts / "OtherIcons.ttf", 0xE000)  # another use of the same characters
    assert find_symbol_font() is None
    find_symbol_font.cache_clear()
    write_font(fonts / "HamNoSysUnicode.ttf", 0xE001, 0xF002)
    font = find_symbol_font()
    assert font is not None and font.path.name == "HamNoSysUnicode.ttf"
    assert [font.text(f"U+E00{digit} x") for digit in "0123"] == ["", "\ue001", "\uf002", ""]
    assert font.text("U+E001 U+E002 x") == "\ue001\uf002" and font.text("U+E001 U+E003 x") == ""


def test_a_damaged_font_leaves_the_words(fonts: Path) -> None:
    (fonts / "HamNoSysUnicode.ttf").write_bytes(b"not a font")
    assert find_symbol_font() is None


def test_a_symbol_is_drawn_before_the_words(fonts: Path) -> None:
    assert dark_pixels_at_the_start() < 100
    find_symbol_font.cache_clear()
    write_font(fonts / "hamnosys.ttf", 0xE000)
    assert dark_pixels_at_the_start() > 150


def dark_pixels_at_the_start() -> int:
    """Of the line of a class with a symbol."""
    section = Section("base form", [Entry("fist", "U+E000 hamfist", 0.5, "50%")])
    start = draw_panel([section], 300, columns=1).crop((6, 22, 24, 44))
    return int((np.asarray(start).sum(-1) < 150).sum())
