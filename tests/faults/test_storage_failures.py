"""Storage that fails under a search: it ends in words or waits, and the same command goes on."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.killing import small_disk
from tests.helpers.s3_server import Bucket, Flaky, flaky_way_to
from tests.helpers.search_process import Folder, Search, report

pytestmark = pytest.mark.slow
EPOCHS = 60


def options(space: Path, data: Path, storage: object) -> list[object]:
    more = ["--set", f"train_parameters.epochs={EPOCHS}", "--name", "tiny"]
    return ["--space", space, "--data-path", data, "--storage", storage, *more]


def test_a_disk_that_is_read_only_is_said_and_the_same_command_goes_on(space: Path, data: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "200m"):
        folder, command = Folder(tmp_path / "disk" / "tiny"), options(space, data, tmp_path / "disk")
        first = Search(*command, "--trials", 2)
        assert first.finish() == 0, first.output
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        search = Search(*command)
        assert search.finish() == 2, search.output
        assert "Read-only file system" in search.output and "Traceback" not in search.output, search.output
        subprocess.run(["mount", "-o", "remount,rw", tmp_path / "disk"], check=True)
        again = Search(*command)
        assert again.finish() == 0, again.output
        folder.check_whole(4, EPOCHS)
        report("storage read-only", "refused in words; the same command goes on", exit_codes="2, 0", trials=4)


def test_a_store_that_hangs_up_now_and_then_is_asked_again(
    bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    with flaky_way_to(bucket) as environment:
        search = Search(*options(space, data, bucket.uri), environment={**environment, "HEARAI_HOME": str(tmp_path)})
        assert search.finish() == 0, search.output
    (study,) = (tmp_path / "mirrors").glob("*/tiny")
    Folder(study).check_whole(4, EPOCHS)
    assert Flaky.count > 10
    report(
        "storage flaky (every third connection fails)",
        "nothing is lost",
        connections_cut=Flaky.count // 3,
        trials=4,
        exit_code=0,
    )


def test_a_store_that_is_gone_ends_the_search_in_words_and_the_same_command_goes_on(
    bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    with flaky_way_to(bucket, every=0) as environment:
        command = options(space, data, bucket.uri)
        search = Search(*command, environment={**environment, "HEARAI_HOME": str(tmp_path / "home")})

        def folder() -> Folder:
            return Folder(next((tmp_path / "home" / "mirrors").glob("*/tiny"), tmp_path))

        search.wait_until(lambda: folder().epoch(0) >= 3)
        Flaky.gone.set()
        began = time.monotonic()
        assert search.finish(400) == 2, search.output
        ended = time.monotonic() - began
        assert "s3://studies/team/tiny" in search.output and "Traceback" not in search.output, search.output
        Flaky.gone.clear()
        again = Search(*command, environment={**environment, "HEARAI_HOME": str(tmp_path / "home")})
        assert again.finish() == 0, again.output
    folder().check_whole(4, EPOCHS)
    report("storage gone", "ends in words; the same command goes on", ended_after=f"{ended:.0f} s", exit_codes="2, 0")
