"""Fixtures: a finished study (written once, copied for each test), and study folders to fill with trials."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.helpers.study_builder import StudyBuilder, open_study, write_dataset, write_finished_search


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 clips of one frame."""
    return write_dataset(tmp_path_factory.mktemp("reporting") / "data")


@pytest.fixture(scope="session")
def _finished_once(dataset: Path) -> Path:
    folder = dataset.parent / "tiny"
    write_finished_search(folder, dataset)
    return folder


@pytest.fixture
def finished(tmp_path: Path, _finished_once: Path) -> Path:
    """Folder of a finished study; `write_finished_search` has its numbers."""
    return Path(shutil.copytree(_finished_once, tmp_path / "runs" / "tiny"))


@pytest.fixture
def build_study(tmp_path: Path, dataset: Path) -> Callable[..., AbstractContextManager[StudyBuilder]]:
    """`with build_study() as builder:` opens a study, `build_study(folder)` that of a folder; keywords are settings."""
    return lambda folder=None, **settings: open_study(folder or tmp_path / "runs" / "tiny", dataset, **settings)
