"""A dataset and a study for searches on a cluster on two cores."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.small_space import small_space

SPACE = small_space(trials=4, epochs=40)


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """YAML file of the study: 4 trials of 40 epochs."""
    path = tmp_path / "tiny.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def data(make_dataset: Callable[..., Path]) -> Path:
    """Twelve clips."""
    return make_dataset()
