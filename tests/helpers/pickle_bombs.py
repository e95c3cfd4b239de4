"""Pickle bombs: files that run code in whoever unpickles them. Here the code makes a folder, the crater."""

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Bomb:
    """Unpickled, it makes the folder `crater`."""

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
    """As `torch.save` writes it, with sound things beside."""
    file = io.BytesIO()
    torch.save({"weights": torch.zeros(3), **background, "bomb": Bomb(crater)}, file)
    return file.getvalue()


def old_torch_file(crater: Path) -> bytes:
    """As older versions of torch wrote it."""
    file = io.BytesIO()
    torch.save({"bomb": Bomb(crater)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def array(crater: Path) -> bytes:
    """A .npy file of objects."""
    file = io.BytesIO()
    np.save(file, np.array([[Bomb(crater)]], dtype=object), allow_pickle=True)
    return file.getvalue()


def arrays(crater: Path) -> bytes:
    """A .npz file of objects."""
    file = io.BytesIO()
    np.savez(file, left_hand=np.array([Bomb(crater)], dtype=object), pose=np.zeros((6, 33, 3)))
    return file.getvalue()


def yaml_text(crater: Path) -> str:
    """What PyYAML's unsafe loaders run."""
    return f"!!python/object/apply:os.mkdir ['{crater}']"


def careless_torch(content: bytes) -> None:
    torch.load(io.BytesIO(content), weights_only=False)


def careless_numpy(content: bytes) -> None:
    found = np.load(io.BytesIO(content), allow_pickle=True)
    if not isinstance(found, np.ndarray):
        list(found.values())


FORMS: dict[Callable[[Path], bytes], Callable[[bytes], Any]] = {
    plain: pickle.loads,
    oldest: pickle.loads,
    torch_file: careless_torch,
    old_torch_file: careless_torch,
    array: careless_numpy,
    arrays: careless_numpy,
}
"""{what makes a bomb: what sets it off}."""
