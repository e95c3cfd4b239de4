"""`.npy` files with one array of points per frame: Sem-Lex, Kaggle's order, COCO-WholeBody. T frames, P points."""

from pathlib import Path

import numpy as np

from hearai.data.landmarks.points import Landmarks, as_float32, assemble, check_size, landmarks_of, to_shares
from hearai.data.landmarks.skeletons import KAGGLE, SEM_LEX, WHOLE_BODY
from hearai.errors import DataError

SKELETONS = {
    len(SEM_LEX): ("Sem-Lex: 553 points of MediaPipe, face first", SEM_LEX),
    len(KAGGLE): ("MediaPipe Holistic: 543 points as in Kaggle ASL Signs", KAGGLE),
    len(WHOLE_BODY): ("COCO-WholeBody: 133 points", WHOLE_BODY),
}
"""{number of points: (the skeleton, its targets)}."""


def read_array(path: Path, size: tuple[int, int] | None = None) -> Landmarks:
    """The landmarks of an array (T, P, 2 or 3) with P among SKELETONS.

    The third channel of COCO-WholeBody is a confidence, 0 = unknown; of the others it is z.

    Raises:
        DataError: it is not such an array; it is never unpickled.
    """
    array = load_array(path)
    if array.shape[1] not in SKELETONS or array.shape[2] not in (2, 3):
        known = ", ".join(map(str, SKELETONS))
        expected = f"expected (frames, {known}, 2 or 3); for other points see landmarks.yaml in docs/data.md"
        raise DataError(f"{path}: shape {array.shape}; {expected}")
    name, targets = SKELETONS[array.shape[1]]
    points = as_float32(array)
    if targets is WHOLE_BODY and points.shape[2] == 3:
        points = np.where(points[..., 2:] > 0, points[..., :2], np.nan)
    shares, notes = to_shares(assemble(path, points, targets), size)
    return landmarks_of(shares, name, None, notes)


def load_array(path: Path) -> np.ndarray:
    """(T, P, C) numbers of a `.npy` file, mapped into memory: its size is compared with its header.

    Raises:
        DataError: it is not such an array.
    """
    check_size(path)
    try:
        with np.errstate(over="ignore"):  # of a size beyond 64 bits, which is refused
            array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, OverflowError):
        raise DataError(f"{path}: cannot read; expected a complete .npy file without pickled objects") from None
    numeric = np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)
    if array.ndim != 3 or not numeric:
        raise DataError(f"{path}: shape {array.shape} of {array.dtype}; expected numbers (frames, points, 2 or 3)")
    return array
