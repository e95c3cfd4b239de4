"""What stands still for so long that it is taken for dead, and wakes up when all goes on without it."""

import os
import signal
import time
from pathlib import Path

import pytest

from hearai.search.storage.lock import FRESH_S
from tests.helpers.local_cluster import LocalCluster, Node
from tests.helpers.search_process import Folder, Search, report, under_another_name

pytestmark = pytest.mark.slow
EPOCHS = 400


def signalled(node: Node, number: int) -> None:
    """The whole machine at once, as when a virtual machine is moved."""
    for member in node.family():
        member.send_signal(number)


def test_a_machine_that_comes_back_when_its_trial_goes_on_elsewhere_writes_nothing_over_it(
    space: Path, data: Path, tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "tiny")
    with LocalCluster(tmp_path / "cluster", head_cpus=0) as cluster:
        nodes = [cluster.add(name) for name in ("first", "second", "spare")]
        search = Search(
            *("--space", space, "--data-path", data, "--storage", tmp_path, "--name", "tiny", "--trials", 2),
            *("--set", f"train_parameters.epochs={EPOCHS}", "--max-concurrent", 2, "--address", cluster.address),
            environment=cluster.environment(),
        )
        search.wait_until(lambda: folder.epoch(0) >= 5)
        dead = folder.pid(0)
        victim = next(node for node in nodes if dead in {member.pid for member in node.family()})
        asleep = search.wait_until(lambda: True)
        signalled(victim, signal.SIGSTOP)
        try:
            noticed = search.wait_until(lambda: search.when("0000 lost its machine")) - asleep
            search.wait_until(lambda: folder.pid(0) != dead and folder.epoch(0) >= 10)
        finally:
            signalled(victim, signal.SIGCONT)
        assert search.finish() == 0, search.output
    folder.check_whole(2, EPOCHS)
    report(
        "machine stands still, is taken for dead and comes back",
        "its trial goes on elsewhere, and the old process writes nothing over it",
        noticed_after=f"{noticed:.1f} s",
        finished_epochs_lost=folder.epochs_lost(),
        exit_code=0,
    )


def test_a_driver_that_comes_back_when_another_has_taken_the_study_over_leaves_all_to_it(
    space: Path, data: Path, tmp_path: Path
) -> None:
    """On a shared folder whose locks other machines do not see."""
    folder = Folder(tmp_path / "tiny")
    with LocalCluster(tmp_path / "cluster", head_cpus=4) as cluster:
        command = ["--space", space, "--data-path", data, "--storage", tmp_path, "--name", "tiny"]
        command += ["--set", f"train_parameters.epochs={EPOCHS}", "--max-concurrent", 2, "--address", cluster.address]
        first = Search(*command, environment=cluster.environment())
        first.wait_until(lambda: folder.epoch(0) >= 5 and folder.epoch(1) >= 5)
        before = folder.pid(0)
        first.process.send_signal(signal.SIGSTOP)
        try:
            (folder.folder / "owner.lock").unlink()
            long_ago = time.time() - 2 * FRESH_S
            os.utime(folder.folder / "journal.log", (long_ago, long_ago))
            second = Search(*command, environment=cluster.environment(), inside=under_another_name())
            second.wait_until(lambda: folder.pid(0) != before)
        finally:
            first.process.send_signal(signal.SIGCONT)
        woke = first.wait_until(lambda: True)
        assert first.finish() == 2, first.output
        ended = time.monotonic() - first.started - woke
        assert second.finish() == 0, second.output
    assert "was taken over by process" in first.output and "on elsewhere" in first.output
    assert "Traceback" not in first.output
    folder.check_whole(4, EPOCHS)
    assert folder.epochs_lost() == 0
    report(
        "driver stands still, another takes over, it comes back",
        "it ends in words and leaves all to the other",
        ended_after=f"{ended:.1f} s",
        finished_epochs_lost=0,
        exit_codes="2, 0",
    )
