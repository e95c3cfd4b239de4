"""Trials with groups of two workers: a worker dies, hangs or loses its node; resources of ended groups."""

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
from tests.helpers.preempted_runs import assert_same_result, run_uninterrupted
from tests.helpers.search_process import SearchProcess, StudyFolder, report_fault

pytestmark = pytest.mark.slow
START_S = 300
"""A group of workers takes 15 s to start on two free cores."""
WORKER = re.compile(r"process (\d+) started as worker (\d) of 2")


@pytest.fixture
def search(space: Path, data: Path, tmp_path: Path) -> Callable[..., SearchProcess]:
    """search(cluster, *options, epochs=, trials=): starts a search over groups of two workers in `tmp_path / runs`."""

    def start(cluster: LocalCluster, *options: object, epochs: int, trials: int) -> SearchProcess:
        study = ["--space", space, "--data-path", data, "--name", "tiny", "--storage", tmp_path / "runs"]
        size = ["--trials", trials, "--set", f"train_parameters.epochs={epochs}"]
        where = ["--workers-per-trial", 2, "--address", cluster.address]
        return SearchProcess(*study, *size, *where, *options, environment=cluster.environment())

    return start


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """The study folder of `search`."""
    return StudyFolder(tmp_path / "runs" / "tiny")


def pid_of(folder: StudyFolder, trial: int, rank: int) -> int:
    """Process id of one of the two workers that run the trial, or ran it last."""
    return int([pid for pid, number in WORKER.findall(folder.log(trial)) if int(number) == rank][-1])


def titles(node: Node) -> dict[int, str]:
    """{pid: `ray::...`}: Ray's processes on a node. Those started in advance are `ray::IDLE`."""
    found = {}
    for process in node.processes():
        try:
            found[process.pid] = " ".join(process.cmdline()).strip()
        except psutil.Error:
            continue  # it has ended
    return {pid: title for pid, title in found.items() if title.startswith("ray::")}


def node_of(nodes: list[Node], *pids: int) -> Node:
    """The node on which all of these processes run."""
    return next(node for node in nodes if set(pids) <= {process.pid for process in node.processes()})


def controller_node(nodes: list[Node]) -> Node:
    """The node with the controller actor of the only running trial."""
    return next(node for node in nodes if any("TrainController" in title for title in titles(node).values()))


def lines_with(search: SearchProcess, text: str) -> list[str]:
    return [line for _, line in search.lines if text in line]


def test_a_killed_or_hanging_worker_fails_only_its_group(
    search: Callable[..., SearchProcess], folder: StudyFolder, tmp_path: Path
) -> None:
    with LocalCluster(tmp_path / "cluster", head_cpus=4) as cluster:
        running = search(cluster, "--hang-timeout", "20s", epochs=200, trials=4)
        running.wait_until(lambda: folder.epoch(0) >= 3, START_S)
        killed = running.elapsed()
        os.kill(pid_of(folder, 0, rank=1), signal.SIGKILL)
        running.wait_until(lambda: folder.epoch(1) >= 3, START_S)
        stopped = [psutil.Process(pid_of(folder, 1, rank)) for rank in (0, 1)]
        hung = running.elapsed()
        stopped[1].suspend()
        detected = running.wait_until(lambda: running.time_of("0000 FAILED")) - killed
        ended = running.wait_until(lambda: running.time_of("0001 FAILED")) - hung
        gone = running.wait_until(lambda: not any(process.is_running() for process in stopped), 15) - hung - ended
        assert running.finish(2 * START_S) == 0, running.output
    trials = folder.trials
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    reasons = [trial.user_attrs["reason"] for trial in trials[:2]]
    assert reasons[0].startswith("killed by SIGKILL (out of memory?), or ended by os._exit; last line of its log: ")
    assert reasons[1].startswith("no report for 20 s: hung in ")
    assert "gloo" not in folder.log(0), "the other worker's error is not the cause"
    assert folder.summary["trials"] == {"total": 4, "complete": 2, "pruned": 0, "failed": 2, "paused": 0}
    report_fault(
        "one of two workers killed by SIGKILL",
        "its trial fails with the reason, the others continue",
        failed_after=f"{detected:.1f} s",
        exit_code=0,
    )
    report_fault(
        "one of two workers suspended by SIGSTOP",
        "its trial fails 20 s + 5 s after its last report, no process remains",
        failed_after=f"{ended:.1f} s",
        processes_gone_after=f"{gone:.1f} s more",
        exit_code=0,
    )


def test_a_group_resumes_elsewhere_when_one_of_its_nodes_dies(
    search: Callable[..., SearchProcess], folder: StudyFolder, tmp_path: Path
) -> None:
    """Four nodes of one CPU: two run the workers, one of these or a third one runs the controller actor."""
    epochs, detected = 100, list[float]()
    with LocalCluster(tmp_path / "cluster", head_cpus=0) as cluster:
        nodes = [cluster.add_node(name) for name in ("first", "second", "third", "fourth")]
        running = search(cluster, "--max-concurrent", 1, epochs=epochs, trials=2)

        def kill(trial: int, choose: Callable[[], Node]) -> None:
            running.wait_until(lambda: folder.epoch(trial) >= 5, START_S)
            victim, at = choose(), running.elapsed()
            nodes.remove(victim)
            victim.kill()
            running.wait_until(lambda: len(lines_with(running, "lost its node")) > len(detected))
            detected.append(running.elapsed() - at)

        def worker_node() -> Node:
            homes = [node_of(nodes, pid_of(folder, 0, rank)) for rank in (0, 1)]
            return next(home for home in homes if home is not controller_node(nodes))

        kill(0, worker_node)
        running.wait_until(lambda: running.time_of("0000 complete"), START_S)
        kill(1, lambda: controller_node(nodes))
        assert running.finish(2 * START_S) == 0, running.output
    folder.assert_complete(2, epochs)
    assert [trial.user_attrs.get("lost") for trial in folder.trials] == [1, 1]
    assert folder.epochs_lost() == 0, "only the epoch in progress is lost"
    for who, seconds in zip(("a worker", "the controller"), detected, strict=True):
        report_fault(
            f"node of {who} of a worker group dies",
            "the trial resumes on other nodes from its last epoch",
            finished_epochs_lost=0,
            detected_after=f"{seconds:.1f} s",
            exit_code=0,
        )


def test_a_preempted_group_resumes_with_the_same_results(
    search: Callable[..., SearchProcess], folder: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = 100
    with LocalCluster(tmp_path / "cluster", head_cpus=0) as cluster:
        nodes = [cluster.add_node(name) for name in ("first", "second", "third")]
        steps = ["--set", "train_parameters.batch_size=1"]  # several steps at which they can be preempted
        running = search(cluster, *steps, epochs=epochs, trials=1)
        running.wait_until(lambda: folder.epoch(0) >= 3, START_S)
        notified = running.elapsed()
        node_of(nodes, pid_of(folder, 0, rank=1)).preempt()
        preempted = running.wait_until(lambda: running.time_of("preempted; it will resume")) - notified
        assert running.finish(2 * START_S) == 0, running.output
    folder.assert_complete(1, epochs)
    (trial,) = folder.trials
    assert trial.user_attrs.get("moved") == 1 and "lost" not in trial.user_attrs
    places = re.findall(r"in epoch (\d+), after \d+ of \d+ steps; it will resume on another node", folder.log(0))
    assert len(places) == 2 and len(set(places)) == 1, "both workers, in the same epoch"
    moved = folder.folder / "trials" / "0000"
    (tmp_path / "config.yaml").write_text((moved / "config.yaml").read_text())
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    mp.spawn(run_uninterrupted, (tmp_path,), nprocs=2)
    assert_same_result(moved, tmp_path / "uninterrupted")
    report_fault(
        "node of one of two workers drained by SIGTERM",
        "both save in mid-epoch and resume; scores and weights equal an uninterrupted run",
        steps_lost=0,
        preempted_after=f"{preempted:.1f} s",
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
"""Prints every 0.2 s which worker groups hold resources, and how many CPUs are free."""

Samples = list[tuple[float, float, list[str]]]
"""[(second, free CPUs, worker groups that hold resources)]"""


@contextmanager
def sample_resources(cluster: LocalCluster) -> Iterator[Samples]:
    """Samples the cluster's resources within a with block."""
    command, samples = [sys.executable, "-c", WATCH, cluster.address], []
    environment = {**os.environ, **cluster.environment("watcher")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:

        def read() -> None:
            for line in process.stdout:
                samples.append(tuple(json.loads(line)))

        threading.Thread(target=read, daemon=True).start()
        while not samples:
            assert process.poll() is None
            time.sleep(0.1)
        try:
            yield samples
        finally:
            process.terminate()


PERMANENT = {"ray::_AutoscalingCoordinatorActor", "ray::TrainStateActor"}
"""Actors that Ray Train starts once per cluster and keeps."""


def helpers(node: Node) -> set[str]:
    """Names of Ray's processes on a node, without idle ones and without the method."""
    return {title.partition(".")[0] for title in titles(node).values() if not title.startswith("ray::IDLE")}


def test_pruned_and_failed_groups_release_all_resources(
    search: Callable[..., SearchProcess], space: Path, tmp_path: Path
) -> None:
    """One after another; each must release its resources within 15 s after the line that reports its end."""
    trials = 50 if os.environ.get("HEARAI_FAULTS_FULL") else 6
    text = space.read_text().replace("{name: none}", "{name: asha, grace_epochs: 1, reduction_factor: 4}")
    width, model = "transformer.feedforward_size", "feature_extractor.model_path"
    options = {f"of {size}": {width: size, model: "test_efficientnet"} for size in (16, 24, 32)}
    options["failing"] = {width: 16, model: "no_such_model"}
    space.write_text(f"{text}  variant: {json.dumps({'choice': options})}\n")
    with LocalCluster(tmp_path / "cluster", head_cpus=2) as cluster:
        node, before = cluster.nodes[0], helpers(cluster.nodes[0])
        with sample_resources(cluster) as samples:
            free = samples[0][1]
            running = search(cluster, "--max-concurrent", 1, epochs=40, trials=trials)
            assert running.finish(60 + 40 * trials) == 0, running.output
            end = time.monotonic()
            while time.monotonic() < end + 15 and not (helpers(node) - before <= PERMANENT and samples[-1][1] == free):
                time.sleep(0.2)
            assert samples[-1][1:] == (free, [])
            assert helpers(node) - before <= PERMANENT
            counted = [title.partition(".")[0] for title in titles(node).values()]
            assert all(counted.count(title) <= 1 for title in PERMANENT)
    ends = [running.started + at for at, line in running.lines if re.match(r"\[ *\d+/\d+\]", line)]
    seconds = [release_time(samples, end, free) for end in ends]
    assert len(seconds) == trials and max(seconds) < 15, seconds
    counts = StudyFolder(tmp_path / "runs" / "tiny").summary["trials"]
    assert counts["total"] == trials and counts["pruned"] and counts["failed"]
    report_fault(
        f"{trials} worker groups pruned or failed, one after another",
        "each releases its resources within 15 s",
        pruned=counts["pruned"],
        failed=counts["failed"],
        median=f"{statistics.median(seconds):.1f} s",
        longest=f"{max(seconds):.1f} s",
        exit_code=0,
    )


def release_time(samples: Samples, end: float, free: float) -> float:
    """Seconds from the `end` of a trial until its group holds no resources and its CPUs are free."""
    held = set(next(groups for at, _, groups in reversed(samples) if at <= end))
    return next(at for at, cpus, groups in samples if at > end and not held & set(groups) and cpus > free - 0.5) - end
