"""The eight heads of a HamNoSys notation: classes, symbols, meanings, frequencies, geometry.

Source: the tables of the public hearai/parse-hamnosys; glyph names from DGS-Korpus/HamNoSys4TeX; counts from running
that parser over the 5,679 notations of rotem-shalev/Ham2Pose. All are stored in `sign/hamnosys_tables.json`.

The labels describe the initial posture of the dominant hand from the signer's point of view: x = signer's right,
y = up, z = out (towards the camera). The signer's right is on the LEFT of the image.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

MISSING = -1
"""Label of a row without a label for a head; losses and metrics ignore it."""


@dataclass(frozen=True)
class HeadClass:
    """One class of a head: its HamNoSys symbol, English meaning and frequency."""

    index: int
    symbol: str
    meaning: str
    count: int
    """Occurrences in 5,679 real notations."""


@dataclass(frozen=True)
class Head:
    """One of the eight parts of a notation."""

    name: str
    classes: tuple[HeadClass, ...]

    @property
    def num_class(self) -> int:
        return len(self.classes)


def short_meaning(meaning: str) -> str:
    """The meaning of a HamNoSys class without remarks in parentheses or after a semicolon."""
    plain = re.sub(r"\s*\([^)]*\)", "", meaning).partition(";")[0]  # a remark may hold a semicolon
    return plain.removeprefix("parser data: ").strip()


def _load() -> dict:
    return json.loads((Path(__file__).parents[1] / "hamnosys_tables.json").read_text(encoding="utf-8"))


def _heads(tables: dict) -> dict[str, Head]:
    return {
        name: Head(name, tuple(HeadClass(c["class"], c["symbol"], c["meaning"], c["count_all"]) for c in classes))
        for name, classes in tables["heads"].items()
    }


_tables = _load()

HEADS: dict[str, Head] = _heads(_tables)
"""The heads, in the column order of `test_hamnosys.txt`."""

FINGER_DIRECTIONS: tuple[tuple[float, float, float], ...] = tuple(
    tuple(v) for v in _tables["geometry"]["finger_direction_vectors"]
)
"""Unit vectors (x, y, z) of the 18 finger-direction classes."""

PALM_NORMALS: tuple[tuple[tuple[float, float, float], ...], ...] = tuple(
    tuple(tuple(n) for n in row) for row in _tables["geometry"]["palm_normal"]
)
"""18 x 8 unit vectors: the palm normal by (finger direction, palm orientation)."""
