"""What is wrong with a cluster is said at the door: before anything is trained, with exit code 2."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.local_cluster import LocalCluster
from tests.helpers.search_process import Search, in_its_own_view, report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A head alone; tests add what they need."""
    with LocalCluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def refused(search: Search, words: str) -> float:
    """The search ends with exit code 2 and these words, and without a traceback; after how many seconds."""
    assert search.finish() == 2, search.output
    assert words in search.output and "Traceback" not in search.output, search.output
    return search.lines[-1][0]


@contextmanager
def node_that_sees(cluster: LocalCluster, name: str, other: Path, over: Path) -> Iterator[None]:
    """A node for which `over` holds what is in `other`, while the context lasts."""
    node = cluster.add(name, inside=in_its_own_view(other, over))
    try:
        yield
    finally:
        node.kill()


Begin = Callable[..., Search]


@pytest.fixture
def begin(cluster: LocalCluster, space: Path, data: Path, tmp_path: Path) -> Begin:
    """begin(*more options): a search on the cluster, its files in `tmp_path / runs`."""
    options = ["--space", space, "--data-path", data, "--storage", tmp_path / "runs", "--address", cluster.address]
    return lambda *more: Search(*options, *more, environment=cluster.environment())


def test_a_trial_that_fits_nowhere(begin: Begin) -> None:
    seconds = refused(
        begin("--cpus-per-trial", 64), "a trial needs 1 x (64 CPUs, 0 GPUs), the cluster has (1 CPU, 0 GPUs)"
    )
    assert seconds < 60
    report("unsatisfiable request", "refused 25 s after joining", after_the_command=f"{seconds:.0f} s", exit_code=2)


def test_a_node_that_does_not_see_the_storage(cluster: LocalCluster, begin: Begin, tmp_path: Path) -> None:
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    runs.mkdir(), elsewhere.mkdir()
    with node_that_sees(cluster, "blind", elsewhere, runs):
        search = begin()
        refused(search, "not the storage that the driver sees; give --storage a folder that is shared by all nodes")
    assert "error: node blind: " in search.output
    assert not (runs / "tiny" / "trials").exists(), "nothing was trained"
    report("storage that a node does not see", "refused at the door", exit_code=2)


def test_a_node_with_another_dataset(cluster: LocalCluster, begin: Begin, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(data, other)
    rows = (other / "test_gloss.txt").read_text().splitlines()
    (other / "test_gloss.txt").write_text("\n".join(rows[:-1]) + "\n")
    with node_that_sees(cluster, "stale", other, data):
        refused(begin(), f"{data}: another dataset than the driver's")
    report("dataset that differs on a node", "refused at the door", exit_code=2)


def test_a_node_without_the_dataset(cluster: LocalCluster, begin: Begin, data: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with node_that_sees(cluster, "poor", empty, data):
        refused(begin(), f"error: node poor: {data}: has no test_gloss.txt")
    report("dataset that is missing on a node", "refused at the door", exit_code=2)


def test_a_copy_of_the_dataset_is_as_good(cluster: LocalCluster, begin: Begin, data: Path, tmp_path: Path) -> None:
    """Copied without its times, as a careless `cp -r` does."""
    copy = tmp_path / "copy"
    shutil.copytree(data, copy, copy_function=shutil.copyfile)
    with node_that_sees(cluster, "copied", copy, data):
        search = begin("--set", "train_parameters.epochs=2", "--trials", 2)
        assert search.finish() == 0, search.output
    assert "2 nodes: all see the storage and the same 12 clips" in search.output
