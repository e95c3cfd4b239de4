"""Pickle bombs: files that run code when they are unpickled. This code creates a folder, the crater."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Bomb:
    """Creates the folder `crater` when it is unpickled."""

    def __init__(self, crater: Path):
        self.crater = str(crater)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.crater,)


def plain(crater: Path) -> bytes:
    """A pickle."""
    return pickle.dumps({"model": Bomb(crater)})


def oldest(crater: Path) -> bytes:
    """A pickle of protocol 0, which is text."""
    return pickle.dumps(Bomb(crater), protocol=0)


def torch_file(crater: Path, **background: Any) -> bytes:
    """A file of `torch.save` that also holds harmless values."""
    file = io.BytesIO()
    torch.save({"weights": torch.zeros(3), **background, "bomb": Bomb(crater)}, file)
    return file.getvalue()


def old_torch_file(crater: Path) -> bytes:
    """A file in the format of older torch versions."""
    file = io.BytesIO()
    torch.save({"bomb": Bomb(crater)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def array(crater: Path) -> bytes:
    """A .npy file with an object array."""
    file = io.BytesIO()
    np.save(file, np.array([[Bomb(crater)]], dtype=object), allow_pickle=True)
    return file.getvalue()


def arrays(crater: Path) -> bytes:
    """A .npz file with an object array."""
    file = io.BytesIO()
    np.savez(file, left_hand=np.array([Bomb(crater)], dtype=object), pose=np.zeros((6, 33, 3)))
    return file.getvalue()


def yaml_text(crater: Path) -> str:
    """YAML that PyYAML's unsafe loaders execute."""
    return f"!!python/object/apply:os.mkdir ['{crater}']"


def unsafe_torch_load(content: bytes) -> None:
    torch.load(io.BytesIO(content), weights_only=False)


def unsafe_numpy_load(content: bytes) -> None:
    found = np.load(io.BytesIO(content), allow_pickle=True)
    if not isinstance(found, np.ndarray):
        list(found.values())


FORMS: dict[Callable[[Path], bytes], Callable[[bytes], Any]] = {
    plain: pickle.loads,
    oldest: pickle.loads,
    torch_file: unsafe_torch_load,
    old_torch_file: unsafe_torch_load,
    array: unsafe_numpy_load,
    arrays: unsafe_numpy_load,
}
"""{function that makes a bomb: unsafe reader that sets it off}."""
