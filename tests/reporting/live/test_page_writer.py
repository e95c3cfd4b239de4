"""A page that is written while a search runs: again after each change, by another process, and never in its way."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.reporting.live.page_writer import page_is_old, page_is_written
from tests.helpers.study_builder import LR

PATIENCE = 120.0
"""Seconds that a busy machine may take."""


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.heavy
def test_the_page_follows_the_search(build_study: Callable) -> None:
    with build_study() as builder:
        page = builder.folder / "report.html"
        with page_is_written(builder.folder, interval=0.1, rest=0):
            wait_for(page.exists)
            builder.run(builder.study.base_params(), [0.2, 0.4], "COMPLETE")
            wait_for(lambda: "1 trial</b>" in page.read_text())
            builder.run({LR: 0.02}, [0.1], "RUNNING")
            wait_for(lambda: "2 trials</b>" in page.read_text())
        assert not [path for path in builder.folder.iterdir() if path.name.startswith(".report")]
        assert not (builder.folder / "summary.json").exists(), "written at the end"


@pytest.mark.heavy
def test_a_page_is_old_once_the_search_has_advanced(finished: Path, tmp_path: Path) -> None:
    assert page_is_old(finished)
    (finished / "report.html").write_text("new")
    assert not page_is_old(finished) and not page_is_old(tmp_path / "nothing")
    (finished / "report.html").unlink()
    (finished / "report.html").mkdir()  # whatever it is, it has an age
    assert not page_is_old(finished)


@pytest.mark.heavy
def test_a_page_that_cannot_be_written_is_one_warning(finished: Path, caplog: pytest.LogCaptureFixture) -> None:
    (finished / "study.yaml").write_text("space: 3\n")
    with caplog.at_level(logging.WARNING), page_is_written(finished, interval=0.1, rest=0):
        wait_for(lambda: bool(caplog.records))
        time.sleep(0.5)
    (record,) = caplog.records
    assert "report.html cannot be written while the search runs" in record.getMessage()
    assert str(finished / "study.yaml") in record.getMessage()


@pytest.mark.heavy
def test_a_deleted_temporary_folder_is_one_warning(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.WARNING), page_is_written(finished, interval=0.05, rest=0):
        with monkeypatch.context() as deleted:
            deleted.setattr("tempfile.tempdir", str(tmp_path / "deleted"))
            wait_for(lambda: bool(caplog.records))
        wait_for((finished / "report.html").exists)
    (record,) = caplog.records
    assert f"no temporary file can be made in {tmp_path}/deleted (No such file" in record.getMessage()


@pytest.mark.heavy
def test_the_end_of_a_search_does_not_wait_for_the_page(finished: Path) -> None:
    with page_is_written(finished, interval=0.01, rest=0):
        time.sleep(0.1)  # the process has started, and is importing
        before = time.monotonic()
    assert time.monotonic() - before < PATIENCE / 2
    assert not [path for path in finished.iterdir() if path.name.startswith(".report")]
