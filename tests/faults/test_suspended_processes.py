"""Processes that are suspended until they are considered dead, and wake up after they have been replaced."""

import os
import signal
import time
from pathlib import Path

import pytest

from hearai.search.storage.lock import STALE_S
from tests.helpers.local_cluster import LocalCluster, Node
from tests.helpers.search_process import SearchProcess, StudyFolder, report_fault, with_other_hostname

pytestmark = pytest.mark.slow
EPOCHS = 400


def signal_node(node: Node, number: int) -> None:
    """Signals all processes of a node, as when a virtual machine is paused."""
    for process in node.processes():
        process.send_signal(number)


def test_a_node_that_wakes_up_does_not_overwrite_its_trial(space: Path, data: Path, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "tiny")
    with LocalCluster(tmp_path / "cluster", head_cpus=0) as cluster:
        nodes = [cluster.add_node(name) for name in ("first", "second", "spare")]
        search = SearchProcess(
            *("--space", space, "--data-path", data, "--storage", tmp_path, "--name", "tiny", "--trials", 2),
            *("--set", f"train_parameters.epochs={EPOCHS}", "--max-concurrent", 2, "--address", cluster.address),
            environment=cluster.environment(),
        )
        search.wait_until(lambda: folder.epoch(0) >= 5)
        suspended_pid = folder.pid(0)
        victim = next(node for node in nodes if suspended_pid in {process.pid for process in node.processes()})
        suspended = search.elapsed()
        signal_node(victim, signal.SIGSTOP)
        try:
            detected = search.wait_until(lambda: search.time_of("0000 lost its node")) - suspended
            search.wait_until(lambda: folder.pid(0) != suspended_pid and folder.epoch(0) >= 10)
        finally:
            signal_node(victim, signal.SIGCONT)
        assert search.finish() == 0, search.output
    folder.assert_complete(2, EPOCHS)
    report_fault(
        "node suspended until it is considered dead, then woken up",
        "its trial resumes on another node, and the old process cannot overwrite its files",
        detected_after=f"{detected:.1f} s",
        finished_epochs_lost=folder.epochs_lost(),
        exit_code=0,
    )


def test_a_driver_that_wakes_up_after_a_takeover_ends(space: Path, data: Path, tmp_path: Path) -> None:
    """On a shared folder whose file locks are invisible to other machines."""
    folder = StudyFolder(tmp_path / "tiny")
    with LocalCluster(tmp_path / "cluster", head_cpus=4) as cluster:
        command = ["--space", space, "--data-path", data, "--storage", tmp_path, "--name", "tiny"]
        command += ["--set", f"train_parameters.epochs={EPOCHS}", "--max-concurrent", 2, "--address", cluster.address]
        first = SearchProcess(*command, environment=cluster.environment())
        first.wait_until(lambda: folder.epoch(0) >= 5 and folder.epoch(1) >= 5)
        before = folder.pid(0)
        first.process.send_signal(signal.SIGSTOP)
        try:
            (folder.folder / "owner.lock").unlink()
            outdated = time.time() - 2 * STALE_S
            os.utime(folder.folder / "journal.log", (outdated, outdated))
            second = SearchProcess(*command, environment=cluster.environment(), wrapper=with_other_hostname())
            second.wait_until(lambda: folder.pid(0) != before)
        finally:
            first.process.send_signal(signal.SIGCONT)
        resumed = first.elapsed()
        assert first.finish() == 2, first.output
        ended = time.monotonic() - first.started - resumed
        assert second.finish() == 0, second.output
    assert "was taken over by process" in first.output and "on elsewhere" in first.output
    assert "Traceback" not in first.output
    folder.assert_complete(4, EPOCHS)
    assert folder.epochs_lost() == 0
    report_fault(
        "driver suspended, another takes over, the first wakes up",
        "the first exits with a message and leaves the study to the other",
        ended_after=f"{ended:.1f} s",
        finished_epochs_lost=0,
        exit_codes="2, 0",
    )
