"""Pruned trials release their resources on a cluster that others use as well."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.local_cluster import LocalCluster
from tests.helpers.search_process import SearchProcess, StudyFolder, report_fault

pytestmark = pytest.mark.slow

FREE = """
import ray, time, sys
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
began = time.monotonic()
while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
    time.sleep(0.1)
print("free after", time.monotonic() - began)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A head with two CPUs."""
    with LocalCluster(tmp_path_factory.mktemp("cluster"), head_cpus=2) as started:
        yield started


def test_pruned_trials_release_all_resources(cluster: LocalCluster, space: Path, data: Path, tmp_path: Path) -> None:
    text = space.read_text().replace(
        "early_stopping: {name: none}", "early_stopping: {name: asha, grace_epochs: 1, reduction_factor: 4}"
    )
    space.write_text(text.replace("trials: 4", "trials: 50"))
    before = {process.pid for process in cluster.nodes[0].processes()}
    search = SearchProcess(
        *("--space", space, "--data-path", data, "--storage", tmp_path, "--name", "tiny"),
        *("--address", cluster.address),
        environment=cluster.environment(),
    )
    assert search.finish() == 0, search.output
    counts = StudyFolder(tmp_path / "tiny").summary["trials"]
    assert counts["total"] == 50 and counts["failed"] == 0 and counts["pruned"] >= 15, counts
    done = cluster.run_python("-c", FREE, cluster.address)
    assert done.returncode == 0, done.stderr
    seconds, until = float(done.stdout.split()[-1]), time.monotonic() + 30

    def remaining() -> set[str]:
        return {" ".join(p.cmdline()) for p in cluster.nodes[0].processes() if p.pid not in before and p.is_running()}

    while (ours := {title for title in remaining() if title.startswith("ray::") and title != "ray::IDLE"}) and (
        time.monotonic() < until
    ):
        time.sleep(0.5)
    assert not ours, ours
    report_fault(
        f"{counts['pruned']} pruned one-worker trials",
        "all resources are released within 15 s, no process remains",
        released_after=f"{seconds:.1f} s",
        remaining_processes=len(ours),
    )
