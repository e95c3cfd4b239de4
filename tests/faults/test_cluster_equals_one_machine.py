"""A search on three nodes finds what a search on one machine finds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hearai.search.storage.object_store import Store
from tests.helpers.local_cluster import LocalCluster
from tests.helpers.s3_server import Bucket
from tests.helpers.search_process import Folder, Search

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(bucket: Bucket, tmp_path: Path) -> Iterator[LocalCluster]:
    """Three nodes."""
    with LocalCluster(tmp_path / "cluster", environment=bucket.environment) as started:
        started.add("one")
        started.add("two")
        yield started


def options(space: Path, data: Path, name: str) -> list[object]:
    return ["--space", space, "--data-path", data, "--name", name, "--set", "train_parameters.epochs=5"]


def test_three_nodes_give_the_numbers_of_one_machine(
    cluster: LocalCluster, bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    alone = Search(*options(space, data, "alone"), "--storage", tmp_path / "runs")
    assert alone.finish() == 0, alone.output
    wanted = {trial.number: (trial.params, trial.value) for trial in Folder(tmp_path / "runs" / "alone").trials}
    for storage in (bucket.uri, tmp_path / "runs"):
        search = Search(
            *options(space, data, "many"),
            *("--storage", storage, "--address", cluster.address),
            environment=cluster.environment(),
        )
        assert search.finish() == 0, search.output
        assert "3 nodes: all see the storage and the same 12 clips" in search.output
    (mirrored,) = (cluster.folder / "driver" / "home" / "mirrors").glob("*/many")
    for folder in (mirrored, tmp_path / "runs" / "many"):
        assert {trial.number: (trial.params, trial.value) for trial in Folder(folder).trials} == wanted


def test_one_node_pre_trains_all_start_from_its_backbone_and_one_trains_the_winner_again(
    cluster: LocalCluster, bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    space.write_text(space.read_text().replace("pretrain: false", "pretrain: {epochs: 1}"))
    command = [*options(space, data, "taught"), "--storage", bucket.uri, "--address", cluster.address, "--retrain"]
    search = Search(*command, environment=cluster.environment())
    assert search.finish() == 0, search.output
    assert search.output.count("pre-trained on") == 1
    backbones = {path.read_bytes() for path in cluster.folder.glob("*/home/mirrors/*/taught/backbone.pt")}
    assert len(backbones) == 1
    held = [node for node in ("head", "one", "two", "driver") if list(cluster.folder.glob(f"{node}/**/backbone.pt"))]
    assert held == ["head", "one", "two", "driver"]
    assert "trained on" in search.output
    assert {"final/best/state.pt", "final.yaml"} <= set(Store(bucket.uri).below("taught").list())
    more = Search(*command, "--trials", 5, environment=cluster.environment())
    assert more.finish() == 0, more.output
    assert "pre-training" not in more.output, "once is enough"
    (study,) = (cluster.folder / "driver" / "home" / "mirrors").glob("*/taught")
    assert Folder(study).summary["trials"] == {"total": 5, "complete": 5, "pruned": 0, "failed": 0}


def test_what_needs_a_gpu_is_done_on_the_node_that_has_one(space: Path, data: Path, tmp_path: Path) -> None:
    """Ray takes our word for the GPU; torch finds none there and uses the CPU."""
    text = space.read_text().replace("pretrain: false", "pretrain: {epochs: 1}").replace("gpu: -1", "gpu: 3")
    space.write_text(text)
    with LocalCluster(tmp_path / "cluster") as cluster:
        cluster.add("with", gpus=1)
        cluster.add("without")
        command = [*options(space, data, "seen"), "--storage", tmp_path / "runs", "--address", cluster.address]
        search = Search(*command, "--retrain", environment=cluster.environment())
        assert search.finish() == 0, search.output
    assert "features of every frame: what is not there yet is computed on 1 node\n" in search.output
    assert "1 trial at a time, each 1 CPU, 1 GPU" in search.output
    made = {(path.parts[-3], path.name.partition("-")[0]) for path in cluster.folder.glob("*/cache/*-*")}
    assert made == {("with", "pretrained"), ("with", "features"), ("driver", "features")}, "the driver's: of test clips"
    assert Folder(tmp_path / "runs" / "seen").summary["retrained"]
