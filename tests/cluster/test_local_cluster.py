"""cluster/local_cluster.sh: a head and workers on this machine, in a folder with a space in its name."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.helpers import ROOT

SCRIPT = ROOT / "cluster" / "local_cluster.sh"
PROBE = """
import json, os, sys, time
import ray

ray.init(sys.argv[1], log_to_driver=False)
names = sorted(node["NodeName"] for node in ray.nodes() if node["Alive"])

@ray.remote(num_cpus=1)
def cache(): return os.environ["HEARAI_CACHE"]

here = [cache.options(label_selector={"hearai.node": name}).remote() for name in names if name != "head"]
print(json.dumps({"names": names, "caches": ray.get(here), "head": ray.util.get_node_ip_address()}))
"""

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def home() -> Iterator[Path]:
    """The folder of the cluster's files; a short path, since it holds sockets."""
    folder = Path(tempfile.mkdtemp(prefix="h c", dir="/tmp"))
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.fixture
def environment(home: Path, tmp_path: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    token = str(tmp_path / "a token" / "token")
    return {**inherited, "PATH": path, "HEARAI_LOCAL_CLUSTER": str(home), "RAY_AUTH_TOKEN_PATH": token}


@pytest.fixture
def cluster(environment: dict[str, str], tmp_path: Path) -> Iterator[Run]:
    """cluster("start", "2") runs a copy of the script in a folder with a space; it is stopped after the test."""
    script = tmp_path / "a checkout" / "cluster" / SCRIPT.name
    script.parent.mkdir(parents=True)
    shutil.copy(SCRIPT, script)

    def run(*args: str) -> subprocess.CompletedProcess:
        command = [str(script), *args]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False
        )

    yield run
    run("stop")


def pids(text: str) -> dict[str, int]:
    """{node name: process id} in the output of `start` and `status`."""
    return {name: int(pid) for name, pid in re.findall(r"(head|worker\d+)  pid (\d+)", text)}


def with_descendants(parents: list[int]) -> list[psutil.Process]:
    nodes = [psutil.Process(pid) for pid in parents]
    return [*nodes, *(child for node in nodes for child in node.children(recursive=True))]


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run; a zombie does not."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def occupy(ports: list[int], stack: ExitStack) -> None:
    """Binds the ports, as another Ray would."""
    for port in ports:
        listener = stack.enter_context(socket.socket())
        try:
            listener.bind(("", port))
            listener.listen()
        except OSError:
            pass  # in use


@pytest.mark.slow
def test_three_nodes_start_lose_a_worker_and_stop_completely(
    cluster: Run, environment: dict[str, str], home: Path
) -> None:
    with ExitStack() as stack:
        occupy([6379, 8265, 10001, 20000], stack)
        started = cluster("start", "2")
        assert started.returncode == 0, started.stderr
        dashboard = re.search(r"dashboard   (http://127\.0\.0\.1:\d+) ", started.stdout)
        assert dashboard and not dashboard[1].endswith(":8265")
    assert f"RAY_API_SERVER_ADDRESS={dashboard[1]}" in started.stdout and "submit.py tune" in started.stdout
    nodes = pids(started.stdout)
    assert list(nodes) == ["head", "worker1", "worker2"]

    token = Path(environment["RAY_AUTH_TOKEN_PATH"])
    assert token.stat().st_mode & 0o777 == 0o600 and token.parent.stat().st_mode & 0o077 == 0
    secret = token.read_text()
    assert re.fullmatch("[0-9a-f]{64}", secret)
    processes = with_descendants(list(nodes.values()))
    assert not any(secret in argument for process in processes for argument in process.cmdline())
    assert secret not in started.stdout + "".join(log.read_text() for log in home.glob("*/log"))

    address = (home / "address").read_text().split()[0]
    client = {**environment, "RAY_AUTH_MODE": "token"}
    probe = [sys.executable, "-c", PROBE, address]
    seen = json.loads(subprocess.run(probe, env=client, capture_output=True, text=True, timeout=90, check=True).stdout)
    assert seen["names"] == ["head", "worker1", "worker2"]
    assert seen["caches"] == [str(home / name / "cache") for name in ("worker1", "worker2")]
    status, until = cluster("status"), time.monotonic() + 30  # Ray's part of the status lags by some seconds
    while status.stdout.count("1 node_") != 3 and time.monotonic() < until:
        status = cluster("status")
    assert status.returncode == 0 and status.stdout.count("1 node_") == 3, status.stdout
    assert cluster("start").returncode == 2, "already running"

    killed = psutil.Process(nodes["worker2"])
    killed.kill()
    until = time.monotonic() + 60
    while running([killed]) or (status := cluster("status")).stdout.count("1 node_") != 2:
        assert time.monotonic() < until, status.stdout
    assert "worker1  pid" in status.stdout and re.search(r"worker2  pid \d+  gone", status.stdout)

    stopped = cluster("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert not running(processes)
    assert cluster("status").returncode == 1

    again = cluster("start", "1")
    assert again.returncode == 0, again.stderr
    assert list(pids(again.stdout)) == ["head", "worker1"]
    assert token.read_text() == secret, "an existing token is kept"
    processes = with_descendants(list(pids(again.stdout).values()))
    assert cluster("stop").returncode == 0
    assert not running(processes)


@pytest.mark.heavy
def test_stop_spares_other_processes_with_a_known_id(cluster: Run, home: Path) -> None:
    home.mkdir()
    with subprocess.Popen(["bash", "-c", "exec -a raylet sleep 60"]) as other:
        (home / "nodes").write_text(f"worker1 {other.pid} Mon_Jan_1_00:00:00_2024\n")
        assert cluster("stop").returncode == 0
        time.sleep(0.2)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "usage"), (["begin"], "usage"), (["start", "0"], "1 to 99"), (["start", "x"], "x")]
)
def test_an_invalid_command_is_refused_with_one_line(cluster: Run, arguments: list[str], message: str) -> None:
    done = cluster(*arguments)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="chown needs root")
def test_a_folder_of_another_user_is_refused(cluster: Run, home: Path) -> None:
    home.mkdir()
    os.chown(home, 65534, 65534)
    done = cluster("start")
    assert done.returncode == 2 and "belongs to another user" in done.stderr
