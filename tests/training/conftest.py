"""Fixtures for tests of single runs."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def isolated_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test computes its own features and backbones."""
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
