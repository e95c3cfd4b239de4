"""Machines that come and go while a search runs on three of them, its files in an object store."""

from pathlib import Path

from hearai.search.storage.object_store import Store
from tests.helpers.local_cluster import LocalCluster
from tests.helpers.s3_server import Bucket
from tests.helpers.search_process import Folder, Search, report

EPOCHS = 100


def test_a_search_outlives_a_machine_that_is_reclaimed_and_one_that_dies(
    bucket: Bucket, space: Path, data: Path, tmp_path: Path
) -> None:
    """Nodes share no disk here: each has caches and mirrors of its own, and the journal is the driver's."""
    with LocalCluster(tmp_path / "cluster", environment=bucket.environment) as cluster:
        spot, other = cluster.add("spot"), cluster.add("other")
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
        search = Search(
            *options, "--storage", bucket.uri, "--address", cluster.address, environment=cluster.environment()
        )
        places = {node: cluster.folder / node / "home" / "mirrors" for node in ("head", "spot", "other")}

        def epoch_on(node: str) -> int:
            """Of the trial that runs there."""
            logs = places[node].glob("*/tiny/trials/*/train.log")
            return max((Folder(log.parents[2]).epoch(int(log.parent.name)) for log in logs), default=0)

        search.wait_until(lambda: epoch_on("spot") >= 3 and epoch_on("other") >= 3)
        reclaimed = search.wait_until(lambda: True)
        spot.reclaim()
        left = search.wait_until(lambda: search.when("is told to leave its machine")) - reclaimed
        on_failure = search.wait_until(lambda: True)
        other.kill()
        noticed = search.wait_until(lambda: search.when("lost its machine")) - on_failure
        assert search.finish() == 0, search.output
    (study,) = (cluster.folder / "driver" / "home" / "mirrors").glob("*/tiny")
    folder = Folder(study)
    folder.check_whole(4, EPOCHS)
    moved = [trial.number for trial in folder.trials if trial.user_attrs.get("moved")]
    lost = [trial.number for trial in folder.trials if trial.user_attrs.get("lost")]
    assert len(moved) == len(lost) == 1
    assert "goes on elsewhere" in folder.log(moved[0])
    assert folder.epochs_lost() == 0, "of what died, only the epoch under way"
    assert f"all of it is in {bucket.uri}/tiny" in search.output
    stored = Store(bucket.uri).below("tiny").list()
    assert {"journal.log", "report.html", "best/state.pt", "summary.json", "trials/0003/metrics.jsonl"} <= set(stored)
    report(
        "node drained by SIGTERM (spot)",
        "its trials are saved at their next step and go on elsewhere",
        finished_epochs_lost=0,
        left_after=f"{left:.1f} s",
        exit_code=0,
    )
    report(
        "node killed",
        "its trials go on from their last epoch",
        finished_epochs_lost=folder.epochs_lost(),
        noticed_after=f"{noticed:.1f} s",
        exit_code=0,
    )
