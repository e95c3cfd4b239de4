"""Starts of Ray that fail or take long: tried once more, then one message."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from ray._private import services

from hearai.config.study import Study
from hearai.errors import UserError
from hearai.search.cluster import connect
from hearai.search.cluster.connect import RayConnection
from hearai.search.cluster.local_ray import machine_limits
from hearai.search.cluster.memory import usable_memory
from hearai.search.run import Options, run_study
from tests.helpers import ROOT

TIMED_OUT = "The current node timed out during startup. This could happen because some of the raylet failed to startup."


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Exception]:
    """The exceptions of the next calls of `ray.init`; one that is left counts as not called."""
    errors: list[Exception] = []

    def init(**_: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    return errors


@pytest.mark.parametrize(
    "error",
    [Exception(TIMED_OUT), RuntimeError("Failed to start GCS. \n more"), OSError(28, "No space left"), TimeoutError()],
)
def test_a_failed_start_is_tried_once_more_and_then_reported(starts: list[Exception], error: Exception) -> None:
    starts += [error, error]
    printed: list[str] = []
    connection = RayConnection(None)
    with pytest.raises(UserError, match="^Ray did not start on this machine .*its logs are in .*/ray/session_latest"):
        connection.join(printed.append)
    assert len(printed) == 1 and printed[0].endswith("trying once more") and not starts
    connection.close()


def test_a_failed_start_names_what_the_machine_lacks(starts: list[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_limits, "LEAST_DISK", 10**18)
    starts += [Exception("Failed to read it. It is unexpected. Please report an issue to Ray github.")] * 2
    printed: list[str] = []
    connection = RayConnection(None)
    lack = (
        r"^Ray did not start on this machine, which has .* MB of free space .*\(Failed to read it\); .*raise the limit"
    )
    with pytest.raises(UserError, match=lack):
        connection.join(printed.append)
    assert "MB of free space" in printed[0]
    connection.close()


@pytest.mark.heavy
def test_a_failed_start_ends_a_search_before_pretraining(
    starts: list[Exception], make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path / "cache"))
    starts += [Exception(TIMED_OUT)] * 2
    with pytest.raises(UserError, match="Ray did not start on this machine"):
        run_study(make_study({"pretrain": True}), Options(tmp_path), lambda _: None)
    assert not list(tmp_path.glob("tiny/backbone*")) and not (tmp_path / "cache").exists()
    assert "trying once more" in (tmp_path / "tiny" / "output.log").read_text()


def test_nothing_is_written_where_ray_cannot_start(
    starts: list[Exception], make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/proc")
    with pytest.raises(UserError, match="RAY_TMPDIR: '/proc' cannot be used for Ray's sockets"):
        run_study(make_study(), Options(tmp_path), print)
    monkeypatch.delenv("RAY_TMPDIR")
    with pytest.raises(UserError, match=r"--address 127\.0\.0\.1:1: no connection"):
        run_study(make_study(), Options(tmp_path, "127.0.0.1:1"), print)
    assert not (tmp_path / "tiny").exists() and not starts


def test_a_slow_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([RuntimeError("not yet")] * 3)

    def get_node(*_: str) -> dict[str, str]:
        for error in answers:
            raise error
        return {"node": "found"}

    monkeypatch.setattr(services, "get_node", get_node)
    monkeypatch.setattr(connect, "POLL_S", 0.001)
    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "90")
    with connect._patient(threading.Event()):
        assert services.get_node("address", "id") == {"node": "found"}
    assert services.get_node is get_node and os.environ["RAY_gcs_server_port_wait_time_s"] == "90"


def test_the_wait_for_a_start_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_node(*_: str) -> None:
        raise RuntimeError("not yet")

    monkeypatch.setattr(services, "get_node", get_node)
    monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "90")
    cancelled = threading.Event()
    cancelled.set()
    with connect._patient(cancelled), pytest.raises(UserError, match="cancelled"):
        services.get_node("address", "id")


ENDLESS = """
import os, sys, threading, ray
from hearai.cli import run_script
from hearai.search.cluster import connect
connect.ATTEMPT_LIMIT_S, connect.CANCEL_S = float(sys.argv[1]), 0.2
def init(**_):
    print("waiting", flush=True)
    threading.Event().wait()
ray.init = init
run_script(lambda: connect.RayConnection(None).join(print) and 0)
"""


def start_without_end(limit: float, folder: Path) -> subprocess.Popen:
    """A process in which Ray starts without end."""
    environment = {**os.environ, "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    command = [sys.executable, "-c", ENDLESS, str(limit)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=-1, stderr=-1, text=True)


@pytest.mark.heavy
def test_a_start_without_end_is_given_up(tmp_path: Path) -> None:
    process = start_without_end(0.5, tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "trying once more" not in out, err
    assert "error: Ray did not start on this machine within 0.5 s" in err and "memory" in err


@pytest.mark.heavy
def test_an_interrupt_ends_a_start_without_end(tmp_path: Path) -> None:
    process = start_without_end(300, tmp_path)
    while "waiting" not in process.stdout.readline():
        assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in err


@pytest.mark.ray
@pytest.mark.heavy
def test_ray_starts_without_waiting_for_its_first_workers(tmp_path: Path) -> None:
    """Where memory is scarce they are killed as they start; here they never get that far."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\nif any('default_worker.py' in word for word in sys.orig_argv): time.sleep(3600)\n"
    )
    code = (
        "import os; from hearai.search.cluster.connect import RayConnection\n"
        "connection = RayConnection(None)\nprint(connection.join(), flush=True)\nconnection.close()\nos._exit(0)"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=200, check=False)
    assert "CPU" in done.stdout, done.stderr


@pytest.mark.heavy
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="a network of its own needs root")
def test_a_missing_loopback_network_is_reported(tmp_path: Path) -> None:
    script = ROOT / "experiments" / "tune.py"
    command = ["unshare", "--net", sys.executable, str(script), "--space", "smoke", "--storage", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and "127.0.0.1: no connection (Network is unreachable)" in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("line", "file", "text", "gigabytes"),
    [
        ("0::/a", "a/memory.max", "1000000000", 1),
        ("0::/a", "a/memory.max", "max", None),
        ("0::/a/b", "a/memory.max", "2000000000", 2),
        ("4:memory:/a", "memory/a/memory.limit_in_bytes", "3000000000", 3),
        ("3:cpu:/a", "memory/a/memory.limit_in_bytes", "3000000000", None),
    ],
)
def test_a_control_group_limits_the_memory(
    tmp_path: Path, line: str, file: str, text: str, gigabytes: int | None
) -> None:
    limit, own = tmp_path / file, tmp_path / "own"
    own.write_text(f"{line}\n")
    limit.parent.mkdir(parents=True)
    limit.write_text(text)
    machine = usable_memory(own=tmp_path / "missing")
    expected = machine if gigabytes is None else min(machine, gigabytes * 10**9)
    assert usable_memory(groups=tmp_path, own=own) == expected


@pytest.mark.ray
@pytest.mark.slow
def test_the_dashboard_shows_the_name_of_the_search(tmp_path: Path) -> None:
    code = (
        "import ray, ray.util.state as state; from hearai.search.cluster.connect import connect\n"
        "connect(None, name='mine')\n"
        "jobs = state.list_jobs(ray.get_runtime_context().gcs_address, detail=True)\n"
        "print([job.metadata for job in jobs])\n"
    )
    environment = {**os.environ, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.stdout.strip() == "[{'job_name': 'mine'}]", done.stderr
