"""One Ray session for all tests of the search, and studies small enough for it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hearai.config.study import Request, Study, load_study
from tests.helpers.small_space import small_space

SMALL_SPACE = small_space(trials=3, epochs=3, finalists="{count: 1, seeds: 2}")


@pytest.fixture(scope="session")
def ray_session(own_cache: None) -> Iterator[None]:
    """Ray on this machine, once for all tests: it takes 10 s to start."""
    import ray

    from hearai.search.cluster.connect import connect

    os.environ.setdefault("RAY_metrics_report_interval_ms", "1000")  # gauges are sent every 10 s otherwise
    connect(None)
    yield
    ray.shutdown()


@pytest.fixture
def make_study(tmp_path: Path, tiny_dataset: Path) -> Callable[..., Study]:
    """make_study(settings={...}, changes={dotted path: value}, name="tiny") -> a study over `tiny_dataset`."""

    def make(settings: dict | None = None, changes: dict | None = None, name: str = "tiny") -> Study:
        file = tmp_path / "tiny.yaml"
        file.write_text(SMALL_SPACE)
        request = Request(str(file), name, None, (str(tiny_dataset),), changes or {}, settings or {})
        return replace(load_study(request), name=name)

    return make
