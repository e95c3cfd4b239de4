"""A finished search to report on (written once, copied for each test), and searches to begin."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.helpers.search_folder import Searching, searching, write_dataset, write_finished_search


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 clips of one picture."""
    return write_dataset(tmp_path_factory.mktemp("reporting") / "data")


@pytest.fixture(scope="session")
def _finished_once(dataset: Path) -> Path:
    folder = dataset.parent / "tiny"
    write_finished_search(folder, dataset)
    return folder


@pytest.fixture
def finished(tmp_path: Path, _finished_once: Path) -> Path:
    """Folder of a finished search; its numbers stand in `write_finished_search`."""
    return Path(shutil.copytree(_finished_once, tmp_path / "runs" / "tiny"))


@pytest.fixture
def begin(tmp_path: Path, dataset: Path) -> Callable[..., AbstractContextManager[Searching]]:
    """`with begin() as search:` begins a search, `begin(folder)` continues one; keywords are settings of the study."""
    return lambda folder=None, **settings: searching(folder or tmp_path / "runs" / "tiny", dataset, **settings)
