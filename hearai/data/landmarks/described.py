"""Arrays of other points, described by a `landmarks.yaml` in their folder. T frames, P points."""

from pathlib import Path

import numpy as np

from hearai.config.yaml_io import read_yaml
from hearai.data.landmarks.arrays import load_array
from hearai.data.landmarks.points import TARGETS, UNREAD, Landmarks, assemble, to_shares
from hearai.errors import DataError

DESCRIPTION = "landmarks.yaml"
KEYS = {"points", "third"}
THIRD = ("z", "confidence")


def read_described(path: Path, size: tuple[int, int] | None = None) -> Landmarks:
    """The landmarks of an array (T, P, 2 or 3) whose points `landmarks.yaml` names.

    The file has the keys `points`, a list with one of our names (see `points.TARGETS`) or null for each point, and
    optionally `third`: z (default) or confidence.

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
    array = load_array(path)
    if array.shape[1] != len(targets) or array.shape[2] not in (2, 3):
        expected = f"expected (frames, {len(targets)}, 2 or 3), as {DESCRIPTION} names {len(targets)} points"
        raise DataError(f"{path}: shape {array.shape}; {expected}")
    points = np.asarray(array, np.float32)
    if third == "confidence" and points.shape[2] == 3:
        points = np.where(points[..., 2:] > 0, points[..., :2], np.nan)
    shares, notes = to_shares(assemble(path, points, targets), size)
    read = sum(target != UNREAD for target in targets)
    return Landmarks(shares, f"{DESCRIPTION}: {read} of {len(targets)} points", None, notes)


def _targets(description: Path, names: object) -> list[int]:
    if not isinstance(names, list) or not any(names):
        raise DataError(f"{description}: points is no list of names; expected names such as left_hand.wrist, or null")
    unknown = [name for name in names if name is not None and name not in TARGETS]
    if unknown:
        raise DataError(
            f"{description}: unknown point {str(unknown[0])[:60]!r}; expected null or one of {', '.join(TARGETS)}"
        )
    if twice := [name for name in names if name is not None and names.count(name) > 1]:
        raise DataError(f"{description}: {twice[0]} is named twice; expected each of our points at most once")
    return [UNREAD if name is None else TARGETS[name] for name in names]
