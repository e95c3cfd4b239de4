"""The fixture of the import tests: a small copy of any kind of dataset."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.public_datasets import MAKERS


@pytest.fixture
def make_source(tmp_path: Path) -> Callable[[str], Path]:
    """make_source("wlasl") -> the folder of a small dataset of this kind."""

    def make(kind: str) -> Path:
        folder = tmp_path / kind
        folder.mkdir()
        MAKERS[kind](folder)
        return folder

    return make
