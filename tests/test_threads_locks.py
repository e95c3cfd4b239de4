"""Locks of files, and what happens on file systems that have none."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hearai import threads
from hearai.data.tools.output_folder import partial_folder
from hearai.errors import UserError
from hearai.files import deleting_cache, lock_cache
from hearai.search.storage.layout import LOCK, OWNER
from hearai.search.storage.lock import is_locked, read_owner, study_lock
from hearai.threads import LockHeld, file_lock
from hearai.training.outputs.run_lock import run_lock


@pytest.fixture(params=["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file system is one without locks."""

    def refuse(*_: object) -> None:
        number = getattr(errno, request.param)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    monkeypatch.setattr(threads, "_reported", set())


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with file_lock(tmp_path / "lock", on_wait=lambda: order.append("waits")):
            order.append("second")

    thread = threading.Thread(target=second)
    with file_lock(tmp_path / "lock") as is_first_locked:
        with pytest.raises(LockHeld), file_lock(tmp_path / "lock", wait=False):
            pass
        thread.start()
        while not order:
            time.sleep(0.01)
        order.append("first ends")
    thread.join()
    assert is_first_locked and order == ["waits", "first ends", "second"]


def test_other_errors_of_a_lock_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="Input/output error"), file_lock(tmp_path / "lock"):
        pass


@pytest.mark.usefixtures("without_locks")
def test_without_locks_everything_runs_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HEARAI_CACHE", str(tmp_path))
    (tmp_path / "features-1").mkdir()
    with file_lock(tmp_path / "lock") as is_first_locked, file_lock(tmp_path / "lock", wait=False):
        assert not is_first_locked
    with lock_cache(tmp_path / "features-1"), deleting_cache(tmp_path / "features-1") as is_free:
        assert is_free
    with run_lock(tmp_path / "run"), partial_folder(tmp_path / "out") as partial:
        assert partial.is_dir()
    with study_lock(tmp_path / "study"):
        assert read_owner(tmp_path / "study")["pid"] == os.getpid()
    assert caplog.text.count("its file system has no locks") == 1


@pytest.mark.heavy
@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_living_owner_keeps_its_study(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = f'{{"pid": {process.pid}, "host": "{socket.gethostname()}", "since": %d, "command": "tune.py"}}'
        (tmp_path / LOCK).touch()
        (tmp_path / OWNER).write_text(owner % (time.time() + 1))
        with pytest.raises(UserError, match=f"is being searched by process {process.pid}"), study_lock(tmp_path):
            pass
        assert is_locked(tmp_path)
        (tmp_path / OWNER).write_text(owner % (time.time() - 3600))  # another process had this number
        assert not is_locked(tmp_path)
        (tmp_path / OWNER).write_text(owner % (time.time() + 1))
    with study_lock(tmp_path):  # it has ended
        assert read_owner(tmp_path)["pid"] == os.getpid()
