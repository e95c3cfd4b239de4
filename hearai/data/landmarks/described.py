"""Arrays of other points, described by a `landmarks.yaml` in their folder. T frames, P points."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hearai.config.yaml_io import read_yaml
from hearai.data.landmarks.arrays import load_array
from hearai.data.landmarks.points import TARGETS, UNREAD, Landmarks, as_float32, assemble, to_shares
from hearai.errors import DataError
from hearai.sign.skeleton import BONES, MIRRORED

DESCRIPTION = "landmarks.yaml"
KEYS = {"points", "third", "edges", "mirror"}
THIRD = ("z", "confidence")


def read_described(path: Path, size: tuple[int, int] | None = None) -> Landmarks:
    """The landmarks of an array (T, P, 2 or 3) whose points `landmarks.yaml` names.

    The file has the keys `points`, a list with one of our names (see `points.TARGETS`) or null for each point, and
    optionally `third`: z (default) or confidence, `edges` and `mirror`: pairs of these names. Models have the bones and
    mirrored pairs of our skeleton: other mirrored pairs are refused, edges that are no bones are noted.

    Raises:
        DataError: the description or the array is invalid, or they do not fit each other.
    """
    description = path.parent / DESCRIPTION
    content = read_yaml(description)
    if unknown := sorted(map(str, content.keys() - KEYS)):
        raise DataError(f"{description}: unknown {', '.join(unknown)}; expected {', '.join(sorted(KEYS))}")
    names, third = content.get("points"), content.get("third", "z")
    if third not in THIRD:
        raise DataError(f"{description}: third is {third!r}; expected {' or '.join(THIRD)}")
    targets = _targets(description, names)
    notes = _edge_notes(description, content, set(targets))
    array = load_array(path)
    if array.shape[1] != len(targets) or array.shape[2] not in (2, 3):
        expected = f"expected (frames, {len(targets)}, 2 or 3), as {DESCRIPTION} names {len(targets)} points"
        raise DataError(f"{path}: shape {array.shape}; {expected}")
    points = as_float32(array)
    if third == "confidence" and points.shape[2] == 3:
        points = np.where(points[..., 2:] > 0, points[..., :2], np.nan)
    shares, more = to_shares(assemble(path, points, targets), size)
    read = sum(target != UNREAD for target in targets)
    return Landmarks(shares, f"{DESCRIPTION}: {read} of {len(targets)} points", None, (*notes, *more))


def _edge_notes(description: Path, content: Mapping[str, Any], targets: set[int]) -> tuple[str, ...]:
    """A note on the edges that models do not have."""
    wrong = [
        f"{first} and {second}"
        for first, second in _pairs(description, "mirror", content, targets)
        if MIRRORED[TARGETS[first]] != TARGETS[second]
    ]
    if wrong:
        raise DataError(f"{description}: mirror: {wrong[0]} are no mirror images; expected left and right of one point")
    bones = {frozenset(bone) for bone in BONES}
    others = [
        f"{first} to {second}"
        for first, second in _pairs(description, "edges", content, targets)
        if frozenset((TARGETS[first], TARGETS[second])) not in bones
    ]
    shown = ", ".join(others[:5])
    return (f"{len(others)} edges are no bones of our skeleton, and not used: {shown}",) if others else ()


def _pairs(description: Path, key: str, content: Mapping[str, Any], targets: set[int]) -> list[tuple[str, str]]:
    pairs = content.get(key, [])
    is_list = isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
    wrong = [one for pair in pairs for one in pair if TARGETS.get(str(one)) not in targets] if is_list else []
    if not is_list or wrong:
        found = f"has {str(wrong[0])[:60]!r}" if wrong else "is no list of pairs"
        raise DataError(f"{description}: {key} {found}; expected pairs of the names in points: [[NAME, NAME], ...]")
    return [(first, second) for first, second in pairs]


def _targets(description: Path, names: object) -> list[int]:
    if not isinstance(names, list) or not any(names):
        raise DataError(f"{description}: points is no list of names; expected names such as left_hand.wrist, or null")
    unknown = [name for name in names if name is not None and not (isinstance(name, str) and name in TARGETS)]
    if unknown:
        raise DataError(
            f"{description}: unknown point {str(unknown[0])[:60]!r}; expected null or one of {', '.join(TARGETS)}"
        )
    if twice := [name for name in names if name is not None and names.count(name) > 1]:
        raise DataError(f"{description}: {twice[0]} is named twice; expected each of our points at most once")
    return [UNREAD if name is None else TARGETS[name] for name in names]
