"""Starts of Ray that fail or take long: tried once more, then one message."""

import os
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
