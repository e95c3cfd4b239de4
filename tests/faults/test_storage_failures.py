"""Storage that fails during a search: it retries or exits with a message, and the same command continues."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.fault_injection import small_disk
from tests.helpers.s3_server import Bucket, FlakyProxy, flaky_proxy
from tests.helpers.search_process import SearchProcess, StudyFolder, report_fault

pytestmark = pytest.mark.slow
EPOCHS = 60


def options(space: Path, data: Path, storage: object) -> list[object]:
    more = ["--set", f"train_parameters.epochs={EPOCHS}", "--name", "tiny"]
    return ["--space", space, "--data-path", data, "--storage", storage, *more]


def test_a_read_only_disk_is_reported(space: Path, data: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "200m"):
        folder, command = StudyFolder(tmp_path / "disk" / "tiny"), options(space, data, tmp_path / "disk")
        first = SearchProcess(*command, "--trials", 2)
        assert first.finish() == 0, first.output
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        search = SearchProcess(*command)
        assert search.finish() == 2, search.output
        assert "Read-only file system" in search.output and "Traceback" not in search.output, search.output
        subprocess.run(["mount", "-o", "remount,rw", tmp_path / "disk"], check=True)
        again = SearchProcess(*command)
        assert again.finish() == 0, again.output
        folder.assert_complete(4, EPOCHS)
        report_fault(
            "storage read-only", "refused with a message; the same command continues", exit_codes="2, 0", trials=4
        )


def test_requests_to_a_flaky_store_are_repeated(bucket: Bucket, space: Path, data: Path, tmp_path: Path) -> None:
    with flaky_proxy(bucket) as environment:
        search = SearchProcess(
            *options(space, data, bucket.uri), environment={**environment, "HEARAI_HOME": str(tmp_path)}
        )
        assert search.finish() == 0, search.output
    (study,) = (tmp_path / "mirrors").glob("*/tiny")
    StudyFolder(study).assert_complete(4, EPOCHS)
    assert FlakyProxy.count > 10
    report_fault(
        "storage flaky (every third connection fails)",
        "nothing is lost",
        dropped_connections=FlakyProxy.count // 3,
        trials=4,
        exit_code=0,
    )


def test_a_search_ends_with_a_message_if_its_store_is_down(
    bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    with flaky_proxy(bucket, every=0) as environment:
        command = options(space, data, bucket.uri)
        search = SearchProcess(*command, environment={**environment, "HEARAI_HOME": str(tmp_path / "home")})

        def folder() -> StudyFolder:
            return StudyFolder(next((tmp_path / "home" / "mirrors").glob("*/tiny"), tmp_path))

        search.wait_until(lambda: folder().epoch(0) >= 3)
        FlakyProxy.is_down.set()
        began = time.monotonic()
        assert search.finish(400) == 2, search.output
        ended = time.monotonic() - began
        assert "s3://studies/team/tiny" in search.output and "Traceback" not in search.output, search.output
        FlakyProxy.is_down.clear()
        again = SearchProcess(*command, environment={**environment, "HEARAI_HOME": str(tmp_path / "home")})
        assert again.finish() == 0, again.output
    folder().assert_complete(4, EPOCHS)
    report_fault(
        "storage unreachable",
        "exits with a message; the same command continues",
        ended_after=f"{ended:.0f} s",
        exit_codes="2, 0",
    )
