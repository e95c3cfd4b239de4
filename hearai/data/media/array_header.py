"""Headers of NumPy's array files: shape and type without the values, since a few kB can stand for terabytes."""

from typing import IO

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic

READERS = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0, (3, 0): read_array_header_2_0}
"""{version: reader}. Version 3 has the layout of 2; only names of fields, which no reader uses, may differ."""


def read_array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, type) of an array of version 1, 2 or 3; the stream then stands at its values.

    Raises:
        ValueError, EOFError, TypeError: it is no such array, or ends early.
    """
    version = read_magic(stream)
    if version not in READERS:
        raise ValueError(f"an unknown version {version} of NumPy's format")
    shape, _, dtype = READERS[version](stream)
    return shape, dtype
