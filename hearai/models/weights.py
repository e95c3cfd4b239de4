"""Weights from files: reading them without running code, and loading them into a module."""

import pickle
import struct
import textwrap
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    struct.error,
    pickle.UnpicklingError,
)
"""What torch raises for a file that is damaged, is not one of its own, or holds more than tensors and plain values."""


REASON_CHARACTERS = 200
"""torch lists every missing weight in one line."""


def read_tensors(path: Path) -> Any:
    """What `torch.save` wrote, with all tensors on the CPU. Only tensors and plain values are unpickled.

    Raises:
        UNREADABLE: see `hearai.errors.load_failure` for a reason that can be shown.
    """
    _check_sums(path)
    with warnings.catch_warnings():  # torch asks to file an issue where it meets a file of others
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True)


def _check_sums(path: Path) -> None:
    """Compares an archive of `torch.save` with the checksums in it; torch would load changed bytes as weights.

    Raises:
        ValueError: they differ, or an entry is compressed, as torch writes none: a small file could fill the memory.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            start = file.read(2)
        if not start:
            raise ValueError("the file is empty")
        if start == b"PK":  # of an archive
            raise ValueError("the file is incomplete: its end is missing; copy it again")
        return  # the format before PyTorch 1.6, without checksums, or no file of torch
    try:
        with zipfile.ZipFile(path) as archive:
            odd = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
            if odd:
                raise ValueError(f"its part {odd[0]!r} is compressed, which torch never does")
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"the file is damaged: {error}") from None
    if damaged:
        raise ValueError(f"the file is damaged: its part {damaged!r} differs from its checksum; copy it again")


def load_weights(module: nn.Module, weights: Any, *, finite: bool = True) -> None:
    """Loads a state dict that may hold anything.

    Args:
        finite: refuse values that are not finite numbers, with which a model predicts nothing.

    Raises:
        ValueError: it is not a state dict, is not that of this module, or has values that are not finite.
    """
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        raise ValueError("not a mapping of names to tensors")
    unusable = [name for name, tensor in weights.items() if finite and not _is_finite(tensor)]
    if unusable:
        raise ValueError(f"{len(unusable)} weights have values that are not finite numbers, such as {unusable[0]}")
    try:
        module.load_state_dict(weights)
    except UNREADABLE as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise ValueError(textwrap.shorten(lines[-1], REASON_CHARACTERS, placeholder=" ...")) from None


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return not tensor.is_complex()
    return tensor.layout is torch.strided and not tensor.is_meta and bool(tensor.isfinite().all())
