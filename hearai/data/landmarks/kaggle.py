"""Parquet files of Kaggle ASL Signs: 543 rows a frame, MediaPipe Holistic. T frames, P points."""

from pathlib import Path

import numpy as np

from hearai.data.landmarks.points import Landmarks, assemble, check_size, landmarks_of, to_shares
from hearai.data.landmarks.skeletons import KAGGLE
from hearai.errors import DataError, load_failure
from hearai.sign.skeleton import SMALL_MESH

COLUMNS = ("x", "y", "z")
ORDER = ["face"] * SMALL_MESH + ["left_hand"] * 21 + ["pose"] * 33 + ["right_hand"] * 21
"""The column `type` of a frame."""
MAX_FRAMES = 50_000
"""Half an hour at 25 frames per second."""


def read_kaggle(path: Path, size: tuple[int, int] | None = None) -> Landmarks:
    """The landmarks of a sequence; its rows are in the order face, left hand, pose, right hand.

    Raises:
        DataError: it is not such a file, or pyarrow is not installed.
    """
    check_size(path)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(f"{path}: reading parquet files needs pyarrow: pip install pyarrow") from None
    try:
        with pq.ParquetFile(path) as file:
            _check_header(path, file)
            table = file.read(columns=[name for name in (*COLUMNS, "type") if name in file.schema_arrow.names])
        columns = [table[name].to_numpy().astype(np.float32) for name in COLUMNS]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot read ({load_failure(error)}); expected a complete parquet file") from None
    if "type" in table.column_names and table["type"].to_pylist() != ORDER * (table.num_rows // len(ORDER)):
        raise DataError(f"{path}: its rows are in another order; expected face, left_hand, pose, right_hand")
    points = assemble(path, np.stack(columns, -1).reshape(-1, len(KAGGLE), 3), KAGGLE)
    shares, notes = to_shares(points, size)
    return landmarks_of(shares, "Kaggle ASL Signs: 543 points of MediaPipe Holistic", None, notes)


def _check_header(path: Path, file) -> None:
    rows, names = file.metadata.num_rows, file.schema_arrow.names
    if missing := [name for name in COLUMNS if name not in names]:
        raise DataError(f"{path}: columns {', '.join(names)[:200]}; expected x, y, z ({', '.join(missing)} missing)")
    if twice := [name for name in (*COLUMNS, "type") if names.count(name) > 1]:
        raise DataError(f"{path}: has the column {twice[0]} twice; expected x, y, z once each")
    kinds = [str(file.schema_arrow.field(name).type) for name in COLUMNS]
    if any(kind not in ("float", "double", "halffloat") for kind in kinds):
        raise DataError(f"{path}: x, y, z are {', '.join(kinds)[:200]}; expected numbers")
    if rows % len(KAGGLE) or not 0 < rows <= MAX_FRAMES * len(KAGGLE):
        expected = f"expected {len(KAGGLE)} rows for each of 1..{MAX_FRAMES:,} frames"
        raise DataError(f"{path}: {rows:,} rows; {expected}")
