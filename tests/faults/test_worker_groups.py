"""Trials that are groups of two workers: one dies, hangs, or its machine goes; and what a group leaves behind."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch.multiprocessing as mp

from tests.helpers.local_cluster import LocalCluster, Node
from tests.helpers.preempted_runs import same_ending, stay
from tests.helpers.search_process import Folder, Search, report

pytestmark = pytest.mark.slow
START_S = 300
"""A group of workers takes 15 s to start on two free cores."""
WORKER = re.compile(r"process (\d+) begins as worker (\d) of 2")


@pytest.fixture
def search(space: Path, data: Path, tmp_path: Path) -> Callable[..., Search]:
    """search(cluster, *options, epochs=, trials=): over groups of two workers, its files in `tmp_path / runs`."""

    def start(cluster: LocalCluster, *options: object, epochs: int, trials: int) -> Search:
        own = ["--space", space, "--data-path", data, "--name", "tiny", "--storage", tmp_path / "runs"]
        size = ["--trials", trials, "--set", f"train_parameters.epochs={epochs}"]
        where = ["--workers-per-trial", 2, "--address", cluster.address]
        return Search(*own, *size, *where, *options, environment=cluster.environment())

    return start


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Of that search."""
    return Folder(tmp_path / "runs" / "tiny")


def pid_of(folder: Folder, trial: int, rank: int) -> int:
    """Of one of the two workers that run the trial, or ran it last."""
    return int([pid for pid, number in WORKER.findall(folder.log(trial)) if int(number) == rank][-1])


def titles(node: Node) -> dict[int, str]:
    """{pid: `ray::...`}: what Ray runs on a node. Processes it has started in advance are `ray::IDLE`."""
    found = {}
    for member in node.family():
        try:
            found[member.pid] = " ".join(member.cmdline()).strip()
        except psutil.Error:
            continue  # it has just ended
    return {pid: title for pid, title in found.items() if title.startswith("ray::")}


def home_of(nodes: list[Node], *pids: int) -> Node:
    """The one that carries all of these processes."""
    return next(node for node in nodes if set(pids) <= {member.pid for member in node.family()})


def driver_home(nodes: list[Node]) -> Node:
    """The one that carries the actor of the only trial under way."""
    return next(node for node in nodes if any("TrainController" in title for title in titles(node).values()))


def lines_of(search: Search, words: str) -> list[str]:
    return [line for _, line in search.lines if words in line]


def test_a_group_of_which_a_worker_is_killed_or_hangs_fails_alone(
    search: Callable[..., Search], folder: Folder, tmp_path: Path
) -> None:
    with LocalCluster(tmp_path / "cluster", head_cpus=4) as cluster:
        running = search(cluster, "--hang-timeout", "20s", epochs=200, trials=4)
        running.wait_until(lambda: folder.epoch(0) >= 3, START_S)
        killed = running.wait_until(lambda: True)
        os.kill(pid_of(folder, 0, rank=1), signal.SIGKILL)
        running.wait_until(lambda: folder.epoch(1) >= 3, START_S)
        stopped = [psutil.Process(pid_of(folder, 1, rank)) for rank in (0, 1)]
        hung = running.wait_until(lambda: True)
        stopped[1].suspend()
        noticed = running.wait_until(lambda: running.when("0000 FAILED")) - killed
        ended = running.wait_until(lambda: running.when("0001 FAILED")) - hung
        gone = running.wait_until(lambda: not any(process.is_running() for process in stopped), 15) - hung - ended
        assert running.finish(2 * START_S) == 0, running.output
    trials = folder.trials
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    reasons = [trial.user_attrs["reason"] for trial in trials[:2]]
    assert reasons[0].startswith("killed by SIGKILL (out of memory?), or left by os._exit; its last words: ")
    assert reasons[1].startswith("no report for 20 s: hung in ")
    assert "gloo" not in folder.log(0), "what the other worker sees of it is not what happened"
    assert folder.summary["trials"] == {"total": 4, "complete": 2, "pruned": 0, "failed": 2}
    report(
        "one of two workers killed by SIGKILL",
        "its trial fails with the reason, the others go on",
        failed_after=f"{noticed:.1f} s",
        exit_code=0,
    )
    report(
        "one of two workers stopped by SIGSTOP",
        "its trial fails 20 s + 5 s after its last report, no process is left",
        failed_after=f"{ended:.1f} s",
        processes_gone_after=f"{gone:.1f} s more",
        exit_code=0,
    )


def test_a_group_goes_on_elsewhere_from_its_last_epoch_when_a_machine_of_it_dies(
    search: Callable[..., Search], folder: Folder, tmp_path: Path
) -> None:
    """Four machines of one CPU: two carry the workers, one of these or a third one the actor that waits for them."""
    epochs, noticed = 100, list[float]()
    with LocalCluster(tmp_path / "cluster", head_cpus=0) as cluster:
        nodes = [cluster.add(name) for name in ("first", "second", "third", "fourth")]
        running = search(cluster, "--max-concurrent", 1, epochs=epochs, trials=2)

        def kill(trial: int, choose: Callable[[], Node]) -> None:
            running.wait_until(lambda: folder.epoch(trial) >= 5, START_S)
            victim, at = choose(), running.wait_until(lambda: True)
            nodes.remove(victim)
            victim.kill()
            running.wait_until(lambda: len(lines_of(running, "lost its machine")) > len(noticed))
            noticed.append(running.wait_until(lambda: True) - at)

        def of_a_worker() -> Node:
            homes = [home_of(nodes, pid_of(folder, 0, rank)) for rank in (0, 1)]
            return next(home for home in homes if home is not driver_home(nodes))

        kill(0, of_a_worker)
        running.wait_until(lambda: running.when("0000 complete"), START_S)
        kill(1, lambda: driver_home(nodes))
        assert running.finish(2 * START_S) == 0, running.output
    folder.check_whole(2, epochs)
    assert [trial.user_attrs.get("lost") for trial in folder.trials] == [1, 1]
    assert folder.epochs_lost() == 0, "of what died, only the epoch under way"
    for who, seconds in zip(("a worker", "the actor that waits for the workers"), noticed, strict=True):
        report(
            f"machine of {who} of a group dies",
            "the trial goes on elsewhere from its last epoch",
            finished_epochs_lost=0,
            noticed_after=f"{seconds:.1f} s",
            exit_code=0,
        )


def test_a_group_leaves_a_machine_together_and_ends_like_one_that_stays(
    search: Callable[..., Search], folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = 100
    with LocalCluster(tmp_path / "cluster", head_cpus=0) as cluster:
        nodes = [cluster.add(name) for name in ("first", "second", "third")]
        steps = ["--set", "train_parameters.batch_size=1"]  # more than one in which they can leave
        running = search(cluster, *steps, epochs=epochs, trials=1)
        running.wait_until(lambda: folder.epoch(0) >= 3, START_S)
        noticed = running.wait_until(lambda: True)
        home_of(nodes, pid_of(folder, 0, rank=1)).reclaim()
        left = running.wait_until(lambda: running.when("is told to leave its machine")) - noticed
        assert running.finish(2 * START_S) == 0, running.output
    folder.check_whole(1, epochs)
    (trial,) = folder.trials
    assert trial.user_attrs.get("moved") == 1 and "lost" not in trial.user_attrs
    places = re.findall(r"left in epoch (\d+), after \d+ of \d+ steps: it goes on elsewhere", folder.log(0))
    assert len(places) == 2 and len(set(places)) == 1, "both workers, in the same epoch"
    moved = folder.folder / "trials" / "0000"
    (tmp_path / "config.yaml").write_text((moved / "config.yaml").read_text())
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    mp.spawn(stay, (tmp_path,), nprocs=2)
    same_ending(moved, tmp_path / "whole")
    report(
        "machine of one of two workers drained by SIGTERM",
        "both leave together, saved in mid-epoch; scores and weights of an unbroken run",
        steps_lost=0,
        left_after=f"{left:.1f} s",
        exit_code=0,
    )


WATCH = """
import json, sys, time
import ray
from ray.util import placement_group_table
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
while True:
    groups = [name for name, row in placement_group_table().items() if row["state"] != "REMOVED"
              and len(row["bundles"]) == 2]
    print(json.dumps([time.monotonic(), ray.available_resources().get("CPU", 0), groups]), flush=True)
    time.sleep(0.2)
"""
"""Twice a second and more: which groups of workers hold resources, and what is free."""

Seen = list[tuple[float, float, list[str]]]
"""(second, free CPUs, groups that hold some) of each look."""


@contextmanager
def watched(cluster: LocalCluster) -> Iterator[Seen]:
    """What is held on the cluster while the context lasts."""
    command, seen = [sys.executable, "-c", WATCH, cluster.address], []
    environment = {**os.environ, **cluster.environment("watcher")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:

        def read() -> None:
            for line in process.stdout:
                seen.append(tuple(json.loads(line)))

        threading.Thread(target=read, daemon=True).start()
        while not seen:
            assert process.poll() is None
            time.sleep(0.1)
        try:
            yield seen
        finally:
            process.terminate()


LASTING = {"ray::_AutoscalingCoordinatorActor", "ray::TrainStateActor"}
"""What Ray Train starts once on a cluster, for all groups that there will ever be."""


def helpers(node: Node) -> set[str]:
    """What Ray runs there beyond idle processes, by its names up to a method's."""
    return {title.partition(".")[0] for title in titles(node).values() if not title.startswith("ray::IDLE")}


def test_groups_that_are_stopped_or_fail_give_everything_back(
    search: Callable[..., Search], space: Path, tmp_path: Path
) -> None:
    """One after another; each must have given back what it held 15 s after the line that tells of its end."""
    trials = 50 if os.environ.get("HEARAI_FAULTS_FULL") else 6
    huge = 10**12  # weights: such a trial fails
    text = space.read_text().replace("{name: none}", "{name: asha, grace_epochs: 1, reduction_factor: 4}")
    space.write_text(f"{text}  transformer.feedforward_size: {{choice: [16, 24, 32, {huge}]}}\n")
    with LocalCluster(tmp_path / "cluster", head_cpus=2) as cluster:
        node, before = cluster.nodes[0], helpers(cluster.nodes[0])
        with watched(cluster) as seen:
            free = seen[0][1]
            running = search(cluster, "--max-concurrent", 1, epochs=40, trials=trials)
            assert running.finish(60 + 40 * trials) == 0, running.output
            over = time.monotonic()
            while time.monotonic() < over + 15 and not (helpers(node) - before <= LASTING and seen[-1][1] == free):
                time.sleep(0.2)
            assert seen[-1][1:] == (free, [])
            assert helpers(node) - before <= LASTING
            counted = [title.partition(".")[0] for title in titles(node).values()]
            assert all(counted.count(title) <= 1 for title in LASTING)
    ends = [running.started + at for at, line in running.lines if re.match(r"\[ *\d+/\d+\]", line)]
    took = [given_back(seen, end, free) for end in ends]
    assert len(took) == trials and max(took) < 15, took
    counts = Folder(tmp_path / "runs" / "tiny").summary["trials"]
    assert counts["total"] == trials and counts["pruned"] and counts["failed"]
    report(
        f"{trials} groups stopped early or failed, one after another",
        "each gives all back within 15 s",
        stopped=counts["pruned"],
        failed=counts["failed"],
        median=f"{statistics.median(took):.1f} s",
        longest=f"{max(took):.1f} s",
        exit_code=0,
    )


def given_back(seen: Seen, end: float, free: float) -> float:
    """Seconds until the group that was there at the `end` of its trial is not, and its CPUs are free."""
    held = set(next(groups for at, _, groups in reversed(seen) if at <= end))
    return next(at for at, cpus, groups in seen if at > end and not held & set(groups) and cpus > free - 0.5) - end
