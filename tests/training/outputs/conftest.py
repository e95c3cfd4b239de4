"""Fixtures for tests of trackers."""

import pytest


@pytest.fixture(autouse=True)
def no_neptune_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEPTUNE_API_TOKEN", "NEPTUNE_PROJECT_NAME", "NEPTUNE_PROJECT"):
        monkeypatch.delenv(name, raising=False)
