"""What a search outlives beside its trials: its driver, its dashboard, its head, another search."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.local_cluster import LocalCluster
from tests.helpers.s3_server import Bucket
from tests.helpers.search_process import Folder, Search, report

pytestmark = pytest.mark.slow
EPOCHS = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A head and a worker."""
    with LocalCluster(tmp_path_factory.mktemp("cluster")) as started:
        started.add("worker")
        yield started


def options(space: Path, data: Path, storage: object, name: str = "tiny") -> list[object]:
    more = ["--set", f"train_parameters.epochs={EPOCHS}", "--name", name]
    return ["--space", space, "--data-path", data, "--storage", storage, *more]


def test_a_trials_process_that_is_killed_or_stands_still_fails_alone(
    cluster: LocalCluster, space: Path, data: Path, tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "tiny")
    search = Search(
        *options(space, data, tmp_path),
        *("--address", cluster.address, "--hang-timeout", "10s", "--set", "train_parameters.epochs=400"),
        environment=cluster.environment(),
    )
    search.wait_until(lambda: folder.epoch(0) >= 2 and folder.epoch(1) >= 2)
    killed = search.wait_until(lambda: True)
    os.kill(folder.pid(0), signal.SIGKILL)
    stopped = folder.pid(1)
    os.kill(stopped, signal.SIGSTOP)
    on_report = search.wait_until(lambda: search.when("0000 FAILED")) - killed
    hung = search.wait_until(lambda: search.when("0001 FAILED")) - killed
    assert search.finish() == 0, search.output
    assert folder.summary["trials"] == {"total": 4, "complete": 2, "pruned": 0, "failed": 2}
    reasons = {entry["trial"]: entry["reason"] for entry in folder.summary["failed"]}
    assert "SIGKILL" in reasons[0] and reasons[1].startswith("no report for 10 s: hung"), reasons
    assert not psutil.pid_exists(stopped) or psutil.Process(stopped).status() == psutil.STATUS_ZOMBIE
    report("worker SIGKILL", "its trial alone fails, with a reason", told_after=f"{on_report:.1f} s", exit_code=0)
    report("worker SIGSTOP", "fails after --hang-timeout (10 s)", told_after=f"{hung:.1f} s", exit_code=0)


def test_a_driver_that_is_killed_is_continued_by_the_same_command(
    cluster: LocalCluster, space: Path, data: Path, tmp_path: Path
) -> None:
    folder, command = Folder(tmp_path / "tiny"), options(space, data, tmp_path)
    command += ["--address", cluster.address]
    first = Search(*command, environment=cluster.environment())
    first.wait_until(lambda: folder.epoch(0) >= 3)
    first.process.kill()
    again = Search(*command, environment=cluster.environment())
    assert again.finish() == 0, again.output
    folder.check_whole(4, EPOCHS)
    assert folder.epochs_lost() == 0
    report("trial driver killed", "the same command continues", finished_epochs_lost=0, trials=4, exit_code=0)


def test_two_searches_share_a_cluster(cluster: LocalCluster, space: Path, data: Path, tmp_path: Path) -> None:
    searches = [
        Search(*options(space, data, tmp_path, name), "--address", cluster.address, environment=cluster.environment())
        for name in ("one", "other")
    ]
    for search in searches:
        assert search.finish() == 0, search.output
    for name in ("one", "other"):
        Folder(tmp_path / name).check_whole(4, EPOCHS)
    report("two searches at once", "both end, each with its trials", trials="4 + 4", exit_codes="0, 0")


def test_a_dashboard_that_hangs_costs_a_running_search_nothing_and_is_asked_for_by_groups(
    cluster: LocalCluster, space: Path, data: Path, tmp_path: Path
) -> None:
    """Where it dies, `ray start --block` ends the whole head with it: that is the next test."""
    folder = Folder(tmp_path / "tiny")
    search = Search(*options(space, data, tmp_path), "--address", cluster.address, environment=cluster.environment())
    search.wait_until(lambda: folder.epoch(0) >= 2)
    (dashboard,) = [p for p in cluster.nodes[0].family() if "dashboard.py" in " ".join(p.cmdline())]
    dashboard.suspend()
    try:
        assert search.finish() == 0, search.output
        folder.check_whole(4, EPOCHS)
        groups = Search(
            *options(space, data, tmp_path, "groups"),
            *("--address", cluster.address, "--workers-per-trial", 2),
            environment=cluster.environment(),
        )
        assert groups.finish() == 2
    finally:
        dashboard.resume()
    assert "Ray's dashboard is not running, without which stopped groups keep their GPUs" in groups.output
    report("dashboard hangs", "one-worker trials go on; groups are refused at the start", exit_codes="0, 2")


def test_a_head_that_is_killed_is_replaced_by_a_fresh_cluster_and_the_same_command(
    bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    """The driver's disk is lost with the head: all that is left is the store's copy."""
    command = options(space, data, bucket.uri)
    with LocalCluster(tmp_path / "first", head_cpus=2, environment=bucket.environment) as cluster:
        first = Search(*command, "--address", cluster.address, environment=cluster.environment())
        homes = cluster.folder / "head" / "home" / "mirrors"

        def reached() -> int:
            logs = homes.glob("*/tiny/trials/*/train.log")
            return max((Folder(log.parents[2]).epoch(int(log.parent.name)) for log in logs), default=0)

        first.wait_until(lambda: reached() >= 5)
        before = reached()
        first.process.kill()
    with LocalCluster(tmp_path / "second", head_cpus=2, environment=bucket.environment) as cluster:
        again = Search(*command, "--address", cluster.address, environment=cluster.environment())
        assert again.finish() == 0, again.output
        (study,) = (cluster.folder / "driver" / "home" / "mirrors").glob("*/tiny")
        folder = Folder(study)
        folder.check_whole(4, EPOCHS)
        assert folder.epochs_lost() == 0
    report(
        "head killed, fresh cluster, same command",
        "goes on from the store's copy",
        reached_before=f"epoch {before}",
        finished_epochs_lost=0,
        trials=4,
        exit_code=0,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dashboard_that_dies_ends_a_search_over_groups_in_words_and_no_other(
    workers: int, space: Path, data: Path, tmp_path: Path
) -> None:
    """That of a Ray which the search has started itself."""
    folder = Folder(tmp_path / "tiny")
    command = [*options(space, data, tmp_path), "--workers-per-trial", workers, "--max-concurrent", 1]
    search = Search(*command)
    search.wait_until(lambda: folder.epoch(0) >= 2, 300)
    family = psutil.Process(search.process.pid).children(recursive=True)
    (dashboard,) = [p for p in family if "dashboard.py" in " ".join(p.cmdline())]
    dashboard.kill()
    on_failure = search.wait_until(lambda: True)
    code = search.finish(300)
    if workers == 1:
        assert code == 0, search.output
        return folder.check_whole(4, EPOCHS)
    assert code == 2 and "Ray's dashboard has not answered for 30 s" in search.output, search.output
    ended = time.monotonic() - search.started - on_failure
    again = Search(*command)
    assert again.finish(900) == 0, again.output
    folder.check_whole(4, EPOCHS)
    assert folder.epochs_lost() == 0
    report(
        "dashboard killed (of the search's own Ray)",
        "one-worker trials go on; a search over groups ends in words, and the same command goes on",
        ended_after=f"{ended:.0f} s",
        exit_codes="0, 2, 0",
        finished_epochs_lost=0,
    )
