"""A search on three nodes, with an object store, loses two of them: one is preempted, one dies."""

from pathlib import Path

import pytest

from hearai.search.storage.object_store import ObjectStore
from tests.helpers.local_cluster import LocalCluster
from tests.helpers.s3_server import Bucket
from tests.helpers.search_process import SearchProcess, StudyFolder, report_fault

pytestmark = pytest.mark.slow

EPOCHS = 100


def test_a_search_survives_a_preempted_node_and_a_dead_one(
    bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    """Each node has its own cache and copy of the storage; the journal is on the driver's disk."""
    with LocalCluster(tmp_path / "cluster", environment=bucket.environment) as cluster:
        spot, other = cluster.add_node("spot"), cluster.add_node("other")
        options = [
            "--space",
            space,
            "--data-path",
            data,
            "--name",
            "tiny",
            "--set",
            f"train_parameters.epochs={EPOCHS}",
        ]
        search = SearchProcess(
            *options, "--storage", bucket.uri, "--address", cluster.address, environment=cluster.environment()
        )
        storage = {node: cluster.folder / node / "home" / "mirrors" for node in ("head", "spot", "other")}

        def epoch_on(node: str) -> int:
            """Of the trial on this node."""
            logs = storage[node].glob("*/tiny/trials/*/train.log")
            return max((StudyFolder(log.parents[2]).epoch(int(log.parent.name)) for log in logs), default=0)

        search.wait_until(lambda: epoch_on("spot") >= 3 and epoch_on("other") >= 3)
        notified = search.elapsed()
        spot.preempt()
        preempted = search.wait_until(lambda: search.time_of("preempted; it will resume")) - notified
        killed = search.elapsed()
        other.kill()
        detected = search.wait_until(lambda: search.time_of("lost its node")) - killed
        assert search.finish() == 0, search.output
    (study,) = (cluster.folder / "driver" / "home" / "mirrors").glob("*/tiny")
    folder = StudyFolder(study)
    folder.assert_complete(4, EPOCHS)
    moved = [trial.number for trial in folder.trials if trial.user_attrs.get("moved")]
    lost = [trial.number for trial in folder.trials if trial.user_attrs.get("lost")]
    assert len(moved) == len(lost) == 1
    assert "it will resume on another node" in folder.log(moved[0])
    assert folder.epochs_lost() == 0, "only the epoch in progress is lost"
    assert f"uploaded to {bucket.uri}/tiny" in search.output
    stored = ObjectStore(bucket.uri).below("tiny").list()
    assert {"journal.log", "report.html", "best/state.pt", "summary.json", "trials/0003/metrics.jsonl"} <= set(stored)
    report_fault(
        "node drained by SIGTERM (spot)",
        "its trials save at their next step and resume on another node",
        finished_epochs_lost=0,
        preempted_after=f"{preempted:.1f} s",
        exit_code=0,
    )
    report_fault(
        "node killed",
        "its trials resume from their last epoch",
        finished_epochs_lost=folder.epochs_lost(),
        detected_after=f"{detected:.1f} s",
        exit_code=0,
    )
