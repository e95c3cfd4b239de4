"""Fixtures for tests of the scripts: a dataset, and a run on it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.training.fit import fit
from hearai.training.runtime import LocalRuntime

GLOSSES = "name,word,gloss_id\nc0,house,0\nc1,tree,1\nc2,cat,2\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(make_dataset: Callable[..., Path]) -> Path:
    folder = make_dataset(clips=24)
    (folder / "glosses.csv").write_text(GLOSSES)
    return folder


@pytest.fixture
def run(make_config: Callable, data: Path, tmp_path: Path) -> Path:
    """The folder of a finished run over glosses."""
    fit(make_config(data, {"train_parameters.epochs": 3}), LocalRuntime("cpu", tmp_path / "run"))
    return tmp_path / "run"
