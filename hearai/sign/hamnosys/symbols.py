"""HamNoSys text -> symbols: characters of a private-use range, SiGML tags, or names.

Source of names and code points: the LaTeX package `hamnosys` of the DGS-Korpus project (HamNoSys 4).
"""

import re
from dataclasses import dataclass

MAX_CHARACTERS = 20_000
"""Of one notation: the longest published ones have about 100 symbols, or 2,500 characters as SiGML."""
SHIFTED = 0x1000
"""Fonts that are installed as symbol fonts show U+E000.. at U+F000..; the same symbols, moved by this much."""
NAMES_SHOWN = 40
"""Characters of an unknown name in a message."""

_NAMES = {
    0xE000: "hamfist hamflathand hamfinger2 hamfinger23 hamfinger23spread hamfinger2345 hampinch12 hampinchall",
    0xE008: "hampinch12open hamcee12 hamceeall hamceeopen hamthumboutmod hamthumbacrossmod hamthumbopenmod",
    0xE010: "hamfingerstraightmod hamfingerbendmod hamfingerhookmod hamdoublebent hamdoublehooked",
    0xE020: "hamextfingeru hamextfingerur hamextfingerr hamextfingerdr hamextfingerd hamextfingerdl hamextfingerl",
    0xE027: "hamextfingerul hamextfingerol hamextfingero hamextfingeror hamextfingeril hamextfingeri hamextfingerir",
    0xE02E: "hamextfingerui hamextfingerdi hamextfingerdo hamextfingeruo",
    0xE038: "hampalmu hampalmur hampalmr hampalmdr hampalmd hampalmdl hampalml hampalmul",
    0xE040: "hamhead hamheadtop hamforehead hameyebrows hameyes hamnose hamnostrils hamear hamearlobe hamcheek",
    0xE04A: "hamlips hamtongue hamteeth hamchin hamunderchin hamneck hamshouldertop hamshoulders hamchest hamstomach",
    0xE054: "hambelowstomach",
    0xE058: "hamlrbeside hamlrat hamcoreftag hamcorefref",
    0xE05F: "hamneutralspace hamupperarm hamelbow hamelbowinside hamlowerarm hamwristback hamwristpulse hamthumbball",
    0xE067: "hampalm hamhandback hamthumbside hampinkyside",
    0xE070: "hamthumb hamindexfinger hammiddlefinger hamringfinger hampinky hamfingertip hamfingernail hamfingerpad",
    0xE078: "hamfingermidjoint hamfingerbase hamfingerside",
    0xE07C: "hamwristtopulse hamwristtoback hamwristtothumb hamwristtopinky",
    0xE080: "hammoveu hammoveur hammover hammovedr hammoved hammovedl hammovel hammoveul hammoveol hammoveo hammoveor",
    0xE08B: "hammoveil hammovei hammoveir hammoveui hammovedi hammovedo hammoveuo",
    0xE092: "hamcircleo hamcirclei hamcircled hamcircleu hamcirclel hamcircler hamcircleul hamcircledr hamcircleur",
    0xE09B: "hamcircledl hamcircleol hamcircleir hamcircleor hamcircleil hamcircleui hamcircledo hamcircleuo",
    0xE0A3: "hamcircledi hamfingerplay hamnodding hamswinging hamtwisting hamstircw hamstirccw hamreplace",
    0xE0AD: "hammovecross hammoveX hamnomotion",
    0xE0B0: "hamclocku hamclockul hamclockl hamclockdl hamclockd hamclockdr hamclockr hamclockur hamclockfull hamarcl",
    0xE0BA: "hamarcu hamarcr hamarcd hamwavy hamzigzag",
    0xE0C0: "hamellipseh hamellipseur hamellipsev hamellipseul hamincreasing hamdecreasing hamsmallmod hamlargemod",
    0xE0C8: "hamfast hamslow hamtense hamrest hamhalt",
    0xE0D0: "hamclose hamtouch haminterlock hamcross hamarmextended hambehind hambrushing",
    0xE0D8: "hamrepeatfromstart hamrepeatfromstartseveral hamrepeatcontinue hamrepeatcontinueseveral hamrepeatreverse",
    0xE0DD: "hamalternatingmotion",
    0xE0E0: "hamseqbegin hamseqend hamparbegin hamparend hamfusionbegin hamfusionend hambetween hamplus hamsymmpar",
    0xE0E9: "hamsymmlr hamnondominant hamnonipsi hametc hamorirelative",
    0xE0F0: "hammime hamversion40",
}

SYMBOLS: dict[int, str] = {
    first + offset: name for first, names in _NAMES.items() for offset, name in enumerate(names.split())
}
"""{code point: name} of the symbols of HamNoSys 4."""

_PUNCTUATION = {
    *("hamspace", "hamexclaim", "hamcomma", "hamfullstop", "hamquery"),
    *("hamaltbegin", "hammetaalt", "hamaltend"),
}
_SPELLINGS = {
    "hamcee12open": "hamceeopen",
    "hamfingerhookedmod": "hamfingerhookmod",
    "hamversionfourzero": "hamversion40",
    "hamversion4_0": "hamversion40",
}
"""{name that some tools write: ours}."""
_CODES = {name.lower(): code for code, name in SYMBOLS.items()}

_IGNORED = set(" \t\r\n\ufeff\u200b!,.?{|}")
"""Characters without meaning for the posture; punctuation is a part of the font."""
_TOKEN = re.compile(r"<!--.*?-->|<[?!/]?\s*([\w.]+)[^<>]*>|([A-Za-z]\w*)|(\s+|,)|(.)", re.S)
"""A tag, a bare name, a separator, or anything else."""
_WRAPPERS = {"sigml", "hns_sign", "hamgestural_sign", "hamnosys_sign", "hamnosys_manual", "xml"}
_NON_MANUAL = re.compile(r"<\s*hamnosys_nonmanual\b[^<>]*(?:/>|>.*?</\s*hamnosys_nonmanual\s*>)", re.S)
"""Face and mouth: no part of the eight heads."""


class NotationError(ValueError):
    """`where: what was found; what is expected` of a notation."""


@dataclass(frozen=True)
class Symbol:
    """One symbol of a notation."""

    code: int
    """Code point in U+E000..U+E0F1."""
    position: int
    """Counted from 1, in symbols."""

    def __str__(self) -> str:
        return f"symbol {self.position}, U+{self.code:04X} {SYMBOLS[self.code]}"


def read_symbols(text: str) -> list[Symbol]:
    """The symbols of a notation, without spaces and punctuation.

    Args:
        text: characters in U+E000..U+E0F1 or U+F000..U+F0F1, SiGML (`<hamflathand/>` ...), or names separated by
            spaces or commas.

    Raises:
        NotationError: it is too long, or contains something else.
    """
    if len(text) > MAX_CHARACTERS:
        raise NotationError(f"{len(text):,} characters; expected the notation of one sign, at most {MAX_CHARACTERS:,}")
    codes = _codes_of_names(text) if re.search("[A-Za-z]", text) else _codes_of_characters(text)
    return [Symbol(code, position) for position, code in enumerate(codes, 1)]


def _codes_of_characters(text: str) -> list[int]:
    codes: list[int] = []
    for letter in text:
        code = ord(letter) - SHIFTED if 0xF000 <= ord(letter) <= 0xF0FF else ord(letter)
        if code in SYMBOLS:
            codes.append(code)
        elif letter not in _IGNORED:
            raise NotationError(
                f"symbol {len(codes) + 1} is U+{ord(letter):04X}, not a symbol of HamNoSys 4; "
                "expected characters in U+E000..U+E0F1 (or U+F000..U+F0F1)"
            )
    return codes


def _codes_of_names(text: str) -> list[int]:
    codes: list[int] = []
    for match in _TOKEN.finditer(_NON_MANUAL.sub("", text)):
        tag, bare, _, other = match.groups()
        name = (tag or bare or "").lower()
        name = _SPELLINGS.get(name, name)
        closing = match[0].startswith("</")
        if name in _CODES and not closing:
            codes.append(_CODES[name])
        elif other or not (name in _CODES or name in _PUNCTUATION or name in _WRAPPERS or not name):
            found = other or tag or bare
            raise NotationError(
                f"after {len(codes)} symbols: {found[:NAMES_SHOWN]!r} is not the name of a symbol; "
                "expected names of HamNoSys 4 such as <hamflathand/>"
            )
    return codes
