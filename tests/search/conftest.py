"""Fixtures of the search: one Ray session, small studies, and trial stores in a temporary folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import BaseSampler, RandomSampler

from hearai.config.study import Request, Study, load_study
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.trial_store import FINALS, SEARCH, TrialStore
from tests.helpers.small_space import small_space

SMALL_SPACE = small_space(trials=3, epochs=3, finalists="{count: 1, seeds: 2}")


@pytest.fixture(scope="session")
def ray_session(shared_cache: None) -> Iterator[None]:
    """Ray on this machine, started once for all tests, because that takes 10 s."""
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


@contextmanager
def _open_store(
    folder: Path, sampler: BaseSampler | None = None, *, unique: bool = True, **options: Any
) -> Iterator[TrialStore]:
    with open_journal(folder) as journal:
        yield TrialStore(journal, SEARCH, sampler or RandomSampler(0), unique=unique, **options)


@pytest.fixture(scope="session")
def open_store() -> Callable[..., AbstractContextManager[TrialStore]]:
    """open_store(folder, sampler=RandomSampler(0), unique=True, ...): the search's store, within a with block."""
    return _open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TrialStore]:
    """The search's store of a new journal in `tmp_path`."""
    with _open_store(tmp_path) as store:
        yield store


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[TrialStore, TrialStore]]:
    """The stores of search and finals of a new journal in `tmp_path`."""
    with open_journal(tmp_path) as journal:
        search = TrialStore(journal, SEARCH, RandomSampler(0), unique=True)
        yield search, TrialStore(journal, FINALS, RandomSampler(0), unique=False)
