"""A search on three nodes gives the results of a search on one machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hearai.search.storage.object_store import ObjectStore
from tests.helpers.local_cluster import LocalCluster
from tests.helpers.s3_server import Bucket
from tests.helpers.search_process import SearchProcess, StudyFolder

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(bucket: Bucket, tmp_path: Path) -> Iterator[LocalCluster]:
    """Three nodes."""
    with LocalCluster(tmp_path / "cluster", environment=bucket.environment) as started:
        started.add_node("one")
        started.add_node("two")
        yield started


def options(space: Path, data: Path, name: str) -> list[object]:
    return ["--space", space, "--data-path", data, "--name", name, "--set", "train_parameters.epochs=5"]


def test_three_nodes_give_the_numbers_of_one_machine(
    cluster: LocalCluster, bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    single = SearchProcess(*options(space, data, "alone"), "--storage", tmp_path / "runs")
    assert single.finish() == 0, single.output
    expected = {trial.number: (trial.params, trial.value) for trial in StudyFolder(tmp_path / "runs" / "alone").trials}
    for storage in (bucket.uri, tmp_path / "runs"):
        search = SearchProcess(
            *options(space, data, "many"),
            *("--storage", storage, "--address", cluster.address),
            environment=cluster.environment(),
        )
        assert search.finish() == 0, search.output
        assert "3 nodes: all see the storage and the same 12 clips" in search.output
    (mirrored,) = (cluster.folder / "driver" / "home" / "mirrors").glob("*/many")
    for folder in (mirrored, tmp_path / "runs" / "many"):
        assert {trial.number: (trial.params, trial.value) for trial in StudyFolder(folder).trials} == expected


def test_one_node_pretrains_for_all_and_one_retrains_the_winner(
    cluster: LocalCluster, bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    space.write_text(space.read_text().replace("pretrain: false", "pretrain: {epochs: 1}"))
    command = [*options(space, data, "pretrained"), "--storage", bucket.uri, "--address", cluster.address, "--retrain"]
    search = SearchProcess(*command, environment=cluster.environment())
    assert search.finish() == 0, search.output
    assert search.output.count("pre-trained on") == 1
    backbones = {path.read_bytes() for path in cluster.folder.glob("*/home/mirrors/*/pretrained/backbone.pt")}
    assert len(backbones) == 1
    holders = [node for node in ("head", "one", "two", "driver") if list(cluster.folder.glob(f"{node}/**/backbone.pt"))]
    assert holders == ["head", "one", "two", "driver"]
    assert "trained on" in search.output
    assert {"final/best/state.pt", "final.yaml"} <= set(ObjectStore(bucket.uri).below("pretrained").list())
    more = SearchProcess(*command, "--trials", 5, environment=cluster.environment())
    assert more.finish() == 0, more.output
    assert "pre-training" not in more.output, "the backbone is reused"
    (study,) = (cluster.folder / "driver" / "home" / "mirrors").glob("*/pretrained")
    assert StudyFolder(study).summary["trials"] == {"total": 5, "complete": 5, "pruned": 0, "failed": 0, "paused": 0}


def test_work_for_a_gpu_runs_on_the_node_that_has_one(space: Path, data: Path, tmp_path: Path) -> None:
    """Ray does not verify the number of GPUs; torch finds none and uses the CPU."""
    text = space.read_text().replace("pretrain: false", "pretrain: {epochs: 1}").replace("gpu: -1", "gpu: 3")
    space.write_text(text)
    with LocalCluster(tmp_path / "cluster") as cluster:
        cluster.add_node("with", gpus=1)
        cluster.add_node("without")
        command = [*options(space, data, "gpu"), "--storage", tmp_path / "runs", "--address", cluster.address]
        search = SearchProcess(*command, "--retrain", environment=cluster.environment())
        assert search.finish() == 0, search.output
    assert "features of every frame: computing missing ones on 1 node\n" in search.output
    assert "1 trial at a time, each 1 CPU, 1 GPU" in search.output
    caches = {(path.parts[-3], path.name.partition("-")[0]) for path in cluster.folder.glob("*/cache/[!.]*-*")}
    assert caches == {("with", "pretrained"), ("with", "features"), ("driver", "features")}, "driver: test clips"
    assert StudyFolder(tmp_path / "runs" / "gpu").summary["retrained"]
