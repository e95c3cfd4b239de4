"""The HamNoSys notation: its eight heads, and strings of the notation read into classes of these heads."""

from hearai.sign.hamnosys.heads import (
    FINGER_DIRECTIONS,
    HEADS,
    MISSING,
    PALM_NORMALS,
    Head,
    HeadClass,
    short_meaning,
)
from hearai.sign.hamnosys.parser import Posture, describe, parse
from hearai.sign.hamnosys.symbols import NotationError

__all__ = [
    "FINGER_DIRECTIONS",
    "HEADS",
    "MISSING",
    "PALM_NORMALS",
    "Head",
    "HeadClass",
    "NotationError",
    "Posture",
    "describe",
    "parse",
    "short_meaning",
]
