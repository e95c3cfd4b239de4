"""Loss of a trial's process, the driver, the dashboard and the head; two searches on one cluster."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.local_cluster import LocalCluster
from tests.helpers.s3_server import Bucket
from tests.helpers.search_process import SearchProcess, StudyFolder, report_fault

pytestmark = pytest.mark.slow
EPOCHS = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A head and a worker."""
    with LocalCluster(tmp_path_factory.mktemp("cluster")) as started:
        started.add_node("worker")
        yield started


def options(space: Path, data: Path, storage: object, name: str = "tiny") -> list[object]:
    more = ["--set", f"train_parameters.epochs={EPOCHS}", "--name", name]
    return ["--space", space, "--data-path", data, "--storage", storage, *more]


def test_a_killed_or_suspended_process_fails_only_its_trial(
    cluster: LocalCluster, space: Path, data: Path, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "tiny")
    search = SearchProcess(
        *options(space, data, tmp_path),
        *("--address", cluster.address, "--hang-timeout", "10s", "--set", "train_parameters.epochs=400"),
        environment=cluster.environment(),
    )
    search.wait_until(lambda: folder.epoch(0) >= 2 and folder.epoch(1) >= 2)
    killed = search.elapsed()
    os.kill(folder.pid(0), signal.SIGKILL)
    stopped = folder.pid(1)
    os.kill(stopped, signal.SIGSTOP)
    reported = search.wait_until(lambda: search.time_of("0000 FAILED")) - killed
    hung = search.wait_until(lambda: search.time_of("0001 FAILED")) - killed
    assert search.finish() == 0, search.output
    assert folder.summary["trials"] == {"total": 4, "complete": 2, "pruned": 0, "failed": 2, "paused": 0}
    reasons = {entry["trial"]: entry["reason"] for entry in folder.summary["failed"]}
    assert "SIGKILL" in reasons[0] and reasons[1].startswith("no report for 10 s: hung"), reasons
    assert not psutil.pid_exists(stopped) or psutil.Process(stopped).status() == psutil.STATUS_ZOMBIE
    report_fault(
        "trial process killed by SIGKILL",
        "only its trial fails, with the reason",
        reported_after=f"{reported:.1f} s",
        exit_code=0,
    )
    report_fault(
        "trial process suspended by SIGSTOP",
        "its trial fails after --hang-timeout (10 s)",
        reported_after=f"{hung:.1f} s",
        exit_code=0,
    )


def test_the_same_command_continues_after_a_killed_driver(
    cluster: LocalCluster, space: Path, data: Path, tmp_path: Path
) -> None:
    folder, command = StudyFolder(tmp_path / "tiny"), options(space, data, tmp_path)
    command += ["--address", cluster.address]
    first = SearchProcess(*command, environment=cluster.environment())
    first.wait_until(lambda: folder.epoch(0) >= 3)
    first.process.kill()
    again = SearchProcess(*command, environment=cluster.environment())
    assert again.finish() == 0, again.output
    folder.assert_complete(4, EPOCHS)
    assert folder.epochs_lost() == 0
    report_fault("driver killed", "the same command continues", finished_epochs_lost=0, trials=4, exit_code=0)


def test_two_searches_share_a_cluster(cluster: LocalCluster, space: Path, data: Path, tmp_path: Path) -> None:
    searches = [
        SearchProcess(
            *options(space, data, tmp_path, name), "--address", cluster.address, environment=cluster.environment()
        )
        for name in ("one", "other")
    ]
    for search in searches:
        assert search.finish() == 0, search.output
    for name in ("one", "other"):
        StudyFolder(tmp_path / name).assert_complete(4, EPOCHS)
    report_fault("two searches at once", "both complete, each with its own trials", trials="4 + 4", exit_codes="0, 0")


def test_a_hanging_dashboard_affects_only_worker_groups(
    cluster: LocalCluster, space: Path, data: Path, tmp_path: Path
) -> None:
    """A dashboard that dies ends the whole head with `ray start --block`: see the next test."""
    folder = StudyFolder(tmp_path / "tiny")
    search = SearchProcess(
        *options(space, data, tmp_path), "--address", cluster.address, environment=cluster.environment()
    )
    search.wait_until(lambda: folder.epoch(0) >= 2)
    (dashboard,) = [p for p in cluster.nodes[0].processes() if "dashboard.py" in " ".join(p.cmdline())]
    dashboard.suspend()
    try:
        assert search.finish() == 0, search.output
        folder.assert_complete(4, EPOCHS)
        groups = SearchProcess(
            *options(space, data, tmp_path, "groups"),
            *("--address", cluster.address, "--workers-per-trial", 2),
            environment=cluster.environment(),
        )
        assert groups.finish() == 2
    finally:
        dashboard.resume()
    assert (
        "Ray's dashboard is not running; without it, stopped worker groups do not release their GPUs" in groups.output
    )
    report_fault(
        "dashboard hangs", "one-worker trials continue; worker groups are refused at the start", exit_codes="0, 2"
    )


def test_the_same_command_continues_on_a_new_cluster(bucket: Bucket, space: Path, data: Path, tmp_path: Path) -> None:
    """The driver's disk is lost with the head; only the copy in the object store remains."""
    command = options(space, data, bucket.uri)
    with LocalCluster(tmp_path / "first", head_cpus=2, environment=bucket.environment) as cluster:
        first = SearchProcess(*command, "--address", cluster.address, environment=cluster.environment())
        homes = cluster.folder / "head" / "home" / "mirrors"

        def reached() -> int:
            logs = homes.glob("*/tiny/trials/*/train.log")
            return max((StudyFolder(log.parents[2]).epoch(int(log.parent.name)) for log in logs), default=0)

        first.wait_until(lambda: reached() >= 5)
        before = reached()
        first.process.kill()
    with LocalCluster(tmp_path / "second", head_cpus=2, environment=bucket.environment) as cluster:
        again = SearchProcess(*command, "--address", cluster.address, environment=cluster.environment())
        assert again.finish() == 0, again.output
        (study,) = (cluster.folder / "driver" / "home" / "mirrors").glob("*/tiny")
        folder = StudyFolder(study)
        folder.assert_complete(4, EPOCHS)
        assert folder.epochs_lost() == 0
    report_fault(
        "head killed, new cluster, same command",
        "continues from the copy in the object store",
        killed_in=f"epoch {before}",
        finished_epochs_lost=0,
        trials=4,
        exit_code=0,
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_dashboard_ends_only_a_search_over_groups(
    workers: int, space: Path, data: Path, tmp_path: Path
) -> None:
    """The dashboard of a Ray that the search has started itself."""
    folder = StudyFolder(tmp_path / "tiny")
    command = [*options(space, data, tmp_path), "--workers-per-trial", workers, "--max-concurrent", 1]
    search = SearchProcess(*command)
    search.wait_until(lambda: folder.epoch(0) >= 2, 300)
    family = psutil.Process(search.process.pid).children(recursive=True)
    (dashboard,) = [p for p in family if "dashboard.py" in " ".join(p.cmdline())]
    dashboard.kill()
    killed = search.elapsed()
    code = search.finish(300)
    if workers == 1:
        assert code == 0, search.output
        return folder.assert_complete(4, EPOCHS)
    assert code == 2 and "Ray's dashboard has not answered for 30 s" in search.output, search.output
    ended = time.monotonic() - search.started - killed
    again = SearchProcess(*command)
    assert again.finish(900) == 0, again.output
    folder.assert_complete(4, EPOCHS)
    assert folder.epochs_lost() == 0
    report_fault(
        "dashboard killed (of the search's own Ray)",
        "one-worker trials continue; a search over worker groups exits with a message, and the same command continues",
        ended_after=f"{ended:.0f} s",
        exit_codes="0, 2, 0",
        finished_epochs_lost=0,
    )
