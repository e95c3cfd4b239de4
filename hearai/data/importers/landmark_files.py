"""Landmark files of public datasets -> arrays of our layout: Kaggle's parquet and Sem-Lex' npy."""

import math
from pathlib import Path

import numpy as np

from hearai.errors import DataError

FRAMES = 5_000
"""Most frames of one clip; the longest of the public ones have a few hundred."""
KAGGLE = {"face": slice(0, 468), "left_hand": slice(468, 489), "pose": slice(489, 522), "right_hand": slice(522, 543)}
SEMLEX = {"face": slice(0, 478), "pose": slice(478, 511), "left_hand": slice(511, 532), "right_hand": slice(532, 553)}
"""{array: its points in a file}"""


def read_landmark_file(path: Path) -> dict[str, np.ndarray]:
    """The arrays of our landmark format, (frames, points, 3); a point that was not seen is NaN.

    Raises:
        DataError: the file is damaged, far too large, or of another shape; nothing is unpickled.
    """
    points, parts = (_read_parquet(path), KAGGLE) if path.suffix == ".parquet" else (_read_npy(path), SEMLEX)
    if np.isinf(points).any():
        raise DataError(f"{path}: contains an infinite number; expected shares of the image size, NaN = not seen")
    arrays = {name: points[:, part] for name, part in parts.items()}
    read = np.concatenate([arrays[name][..., :2] for name in arrays if name != "face"], axis=1)
    if not (np.nan_to_num(read) != 0).any():
        raise DataError(f"{path}: no point of hands or body is known in any frame; it is left out")
    return {name: array.astype(np.float16 if name == "face" else np.float32) for name, array in arrays.items()}


def _read_parquet(path: Path) -> np.ndarray:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            rows = file.metadata.num_rows
            if rows == 0 or rows % 543 or rows > 543 * FRAMES:
                expected = f"expected 543 for each of 1..{FRAMES} frames"
                raise DataError(f"{path}: {rows} rows; {expected}")
            table = file.read(["type", "x", "y", "z"])
        types = np.asarray(table["type"].to_pylist()).reshape(-1, 543)
        columns = [table[axis].to_numpy().astype(np.float64) for axis in "xyz"]
    except (ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise DataError(f"{path}: cannot read ({reason}); expected a parquet file with type, x, y, z") from None
    order = np.empty(543, dtype="<U10")
    for name, part in KAGGLE.items():
        order[part] = name
    if not (types == order).all():
        raise DataError(f"{path}: its rows are in another order; expected face, left_hand, pose, right_hand")
    return np.stack(columns, axis=-1).reshape(-1, 543, 3)


def _read_npy(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # only the header is read
    except (OSError, ValueError, EOFError, TypeError, SyntaxError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot read ({reason}); expected a complete .npy file of numbers") from None
    shape: tuple[int, ...] = array.shape if isinstance(array, np.ndarray) else ()
    if len(shape) != 3 or shape[1:] != (553, 3) or not 0 < shape[0] <= FRAMES or array.dtype.kind not in "fiu":
        raise DataError(f"{path}: shape {shape}; expected (1..{FRAMES} frames, 553, 3) of numbers")
    if math.prod(shape) * array.dtype.itemsize > path.stat().st_size:
        raise DataError(f"{path}: truncated; expected {shape[0]} frames")
    return np.asarray(array, dtype=np.float64)
