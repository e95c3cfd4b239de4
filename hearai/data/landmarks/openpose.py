"""Folders of OpenPose: one JSON file per frame. T frames, P points."""

import json
import re
from pathlib import Path

import numpy as np

from hearai.data.landmarks.points import Landmarks, as_float32, assemble, to_shares
from hearai.data.landmarks.skeletons import BODY_25, LEFT_HAND, RIGHT_HAND, body_targets, face_targets
from hearai.errors import DataError

KEYS = {
    "pose_keypoints_2d": body_targets(BODY_25),
    "face_keypoints_2d": face_targets(70),
    "hand_left_keypoints_2d": [*LEFT_HAND],
    "hand_right_keypoints_2d": [*RIGHT_HAND],
}
"""{key of a person: targets of its points}; each point is x, y, confidence."""
TARGETS = [target for targets in KEYS.values() for target in targets]
MAX_FILE = 5_000_000
"""Bytes of one frame: hundreds of persons."""
MAX_FRAMES = 50_000


def read_openpose(folder: Path, size: tuple[int, int] | None = None) -> Landmarks:
    """The landmarks of a folder of `..._keypoints.json` files, in the order of their numbers.

    Of several persons in a frame, the one with the highest confidence is read.

    Raises:
        DataError: a file is missing or is not OpenPose's.
    """
    files = _frame_files(folder)
    if not files:
        raise DataError(f"{folder}: contains no .json files; expected OpenPose's, one per frame")
    if len(files) > MAX_FRAMES:
        raise DataError(f"{folder}: {len(files):,} .json files; expected at most {MAX_FRAMES:,}")
    frames, most = [], 0
    for file in files:
        persons = _read_persons(file)
        most = max(most, len(persons))
        frames.append(max(persons, key=lambda one: one[:, 2].sum(), default=np.zeros((len(TARGETS), 3), np.float32)))
    values = np.stack(frames)
    points = np.where(values[..., 2:] > 0, values[..., :2], np.nan)
    shares, notes = to_shares(assemble(folder, points, TARGETS), size)
    if most > 1:
        notes = (*notes, f"up to {most} persons in a frame: the one with the highest confidence is read")
    return Landmarks(shares, "OpenPose: BODY_25 with hands", None, notes)


def _frame_files(folder: Path) -> list[Path]:
    """The files in the order of the last number of their names; every number must be there."""
    files = [path for path in folder.iterdir() if path.suffix.lower() == ".json" and not path.name.startswith(".")]
    numbers = {}
    for path in files:
        found = re.findall(r"\d+", path.stem.removesuffix("_keypoints"))
        if not found or (number := int(found[-1])) in numbers:
            raise DataError(
                f"{path}: no frame number of its own; expected names such as clip_000000000012_keypoints.json"
            )
        numbers[number] = path
    ordered = sorted(numbers)
    gaps = [before + 1 for before, after in zip(ordered, ordered[1:], strict=False) if after != before + 1]
    if gaps:
        raise DataError(f"{folder}: the file of frame {gaps[0]} is missing; expected one for every frame")
    return [numbers[number] for number in ordered]


def _read_persons(path: Path) -> list[np.ndarray]:
    """(P, 3) of each person: x, y, confidence."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise DataError(f"{path}: more than {MAX_FILE / 1e6:g} MB; expected the points of one frame")
        persons = json.loads(path.read_bytes())["people"]
        return [np.concatenate([_values(person, key) for key in KEYS]) for person in persons]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        keys = ", ".join(KEYS)
        raise DataError(f"{path}: cannot read; expected OpenPose's JSON: `people` with {keys}") from None


def _values(person: dict, key: str) -> np.ndarray:
    """(P, 3) of one part; zeros if it was not estimated."""
    count = len(KEYS[key])
    given = person.get(key) or [0] * 3 * count
    if not all(isinstance(value, int | float) for value in given):
        raise ValueError("no list of numbers")
    values = as_float32(np.array(given, np.float64))
    return values.reshape(count, 3)
