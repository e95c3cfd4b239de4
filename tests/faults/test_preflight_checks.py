"""Pre-flight checks: problems of a cluster are reported with exit code 2 before anything is trained."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.local_cluster import LocalCluster
from tests.helpers.search_process import SearchProcess, report_fault, with_bind_mount

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A head; tests add the nodes that they need."""
    with LocalCluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def refused(search: SearchProcess, message: str) -> float:
    """The search exits with code 2 and this message, without a traceback; the seconds until then."""
    assert search.finish() == 2, search.output
    assert message in search.output and "Traceback" not in search.output, search.output
    return search.lines[-1][0]


@contextmanager
def node_that_sees(cluster: LocalCluster, name: str, source: Path, target: Path) -> Iterator[None]:
    """A node that sees the content of `source` in the folder `target`, within a with block."""
    node = cluster.add_node(name, wrapper=with_bind_mount(source, target))
    try:
        yield
    finally:
        node.kill()


Begin = Callable[..., SearchProcess]


@pytest.fixture
def begin(cluster: LocalCluster, space: Path, data: Path, tmp_path: Path) -> Begin:
    """begin(*more options): starts a search on the cluster with `tmp_path / runs` as storage."""
    options = ["--space", space, "--data-path", data, "--storage", tmp_path / "runs", "--address", cluster.address]
    return lambda *more: SearchProcess(*options, *more, environment=cluster.environment())


def test_a_trial_that_does_not_fit_is_refused(begin: Begin) -> None:
    seconds = refused(
        begin("--cpus-per-trial", 64), "a trial needs 1 x (64 CPUs, 0 GPUs), the cluster has (1 CPU, 0 GPUs)"
    )
    assert seconds < 60
    report_fault(
        "request that cannot be satisfied",
        "refused 25 s after joining",
        after_the_command=f"{seconds:.0f} s",
        exit_code=2,
    )


def test_a_node_without_the_storage_is_refused(cluster: LocalCluster, begin: Begin, tmp_path: Path) -> None:
    runs, other = tmp_path / "runs", tmp_path / "other"
    runs.mkdir(), other.mkdir()
    with node_that_sees(cluster, "isolated", other, runs):
        search = begin()
        refused(search, "not the driver's storage; set --storage to a folder that all nodes share")
    assert "error: node isolated: " in search.output
    assert not (runs / "tiny" / "trials").exists(), "nothing was trained"
    report_fault("storage that a node does not see", "refused by the pre-flight checks", exit_code=2)


def test_a_node_with_another_dataset_is_refused(
    cluster: LocalCluster, begin: Begin, data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(data, other)
    rows = (other / "test_gloss.txt").read_text().splitlines()
    (other / "test_gloss.txt").write_text("\n".join(rows[:-1]) + "\n")
    with node_that_sees(cluster, "stale", other, data):
        refused(begin(), f"{data}: not the driver's dataset")
    report_fault("dataset that differs on a node", "refused by the pre-flight checks", exit_code=2)


def test_a_node_without_the_dataset_is_refused(cluster: LocalCluster, begin: Begin, data: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with node_that_sees(cluster, "empty", empty, data):
        refused(begin(), f"error: node empty: {data}: has no test_gloss.txt")
    report_fault("dataset that is missing on a node", "refused by the pre-flight checks", exit_code=2)


def test_a_copy_of_the_dataset_is_accepted(cluster: LocalCluster, begin: Begin, data: Path, tmp_path: Path) -> None:
    """Copied without modification times, as `cp -r` does."""
    copy = tmp_path / "copy"
    shutil.copytree(data, copy, copy_function=shutil.copyfile)
    with node_that_sees(cluster, "copied", copy, data):
        search = begin("--set", "train_parameters.epochs=2", "--trials", 2)
        assert search.finish() == 0, search.output
    assert "2 nodes: all see the storage and the same 12 clips" in search.output
