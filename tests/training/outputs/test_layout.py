"""Names of the folders of runs."""

from pathlib import Path

import pytest

from hearai.config.config import build_config
from hearai.training.outputs.layout import run_folder


def test_runs_begun_in_the_same_second_have_different_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = build_config({})
    found = []
    for _ in range(3):
        found.append(run_folder(config, "20261129-120000"))
        found[-1].mkdir(parents=True)
    assert [folder.name for folder in found] == [f"train-20261129-120000{end}" for end in ("", "-2", "-3")]
