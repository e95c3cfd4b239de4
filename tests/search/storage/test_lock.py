"""The lock of a study folder: one process searches there; others learn which, or take over if it is dead."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.errors import UserError
from hearai.search.storage.journal_backend import open_journal
from hearai.search.storage.layout import OWNER
from hearai.search.storage.lock import (
    STALE_S,
    is_locked,
    is_recent,
    read_owner,
    record_dashboard,
    seconds_until_stale,
    study_lock,
    watch_ownership,
)
from hearai.search.storage.study_sync import StudySync
from tests.helpers.suggestions import suggest_x


def test_the_owner_is_removed_when_the_search_ends(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with study_lock(tmp_path):
        assert is_locked(tmp_path) and f'"pid": {os.getpid()}' in (tmp_path / OWNER).read_text()
    assert not is_locked(tmp_path) and not (tmp_path / OWNER).exists()


def test_only_the_owner_records_its_dashboard(tmp_path: Path) -> None:
    with study_lock(tmp_path):
        record_dashboard(tmp_path, "http://127.0.0.1:8265")
        assert read_owner(tmp_path)["dashboard"] == "http://127.0.0.1:8265"
        other = '{"pid": 7, "host": "elsewhere", "since": 0, "command": "tune.py"}'
        (tmp_path / OWNER).write_text(other)
        record_dashboard(tmp_path, "http://127.0.0.1:1")
        assert (tmp_path / OWNER).read_text() == other
    (tmp_path / OWNER).write_text(other.replace("}", ', "dashboard": 5}'))
    assert read_owner(tmp_path) is None, "a record with a wrong field is not one"


@pytest.mark.parametrize("age", [0.0, 2 * STALE_S])
def test_an_owner_on_another_machine_counts_while_it_writes(tmp_path: Path, age: float) -> None:
    (tmp_path / OWNER).write_text('{"pid": 7, "host": "elsewhere", "since": 0, "command": "tune.py"}')
    journal = tmp_path / "journal.log"
    journal.touch()
    os.utime(journal, (journal.stat().st_atime, journal.stat().st_mtime - age))
    if age:
        with study_lock(tmp_path):
            return
    refusal = "by process 7 on elsewhere since .*: python tune.py.*; if that machine is down, try again in (120|119) s"
    with pytest.raises(UserError, match=refusal):
        with study_lock(tmp_path):
            pass
    assert "elsewhere" in (tmp_path / OWNER).read_text(), "the owner stays"


@pytest.mark.heavy
@pytest.mark.parametrize("writes", [False, True])
def test_a_clock_that_was_ahead_blocks_no_longer_than_usual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, writes: bool
) -> None:
    """Only a search that still writes keeps its study."""
    monkeypatch.setattr("hearai.search.storage.lock.STALE_S", 0.5)
    monkeypatch.setattr("hearai.search.storage.lock.POLL_S", 0.05)
    (tmp_path / OWNER).write_text('{"pid": 7, "host": "elsewhere", "since": 0, "command": "tune.py"}')
    journal, ahead = tmp_path / "journal.log", time.time() + 3 * 86400
    journal.touch()
    os.utime(journal, (ahead, ahead))
    assert not is_recent(tmp_path)
    if not writes:
        with study_lock(tmp_path):
            assert read_owner(tmp_path)["pid"] == os.getpid()
        assert "its last change lies in the future" in caplog.text
        return
    threading.Timer(0.2, os.utime, (journal, (ahead + 1, ahead + 1))).start()
    with pytest.raises(UserError, match="by process 7 on elsewhere .* try again in 1 s"), study_lock(tmp_path):
        pass


@pytest.mark.parametrize(("age", "seconds"), [(-5, 120), (0, 120), (60, 60), (500, -380)])
def test_a_sign_of_life_counts_for_the_usual_time(age: float, seconds: float) -> None:
    now = time.time()
    assert seconds_until_stale(lambda: now - age, "study") == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize("seen", [float("nan"), float("inf")])
def test_a_damaged_sign_of_life_is_none(monkeypatch: pytest.MonkeyPatch, seen: float) -> None:
    monkeypatch.setattr("hearai.search.storage.lock.STALE_S", 0.01)
    monkeypatch.setattr("hearai.search.storage.lock.POLL_S", 0.001)
    assert not seconds_until_stale(lambda: seen, "study") > 0


def test_a_replaced_owner_is_notified_and_keeps_the_new_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearai.search.storage.lock.CHECK_INTERVAL_S", 0.01)
    errors: list[UserError] = []
    with study_lock(tmp_path):
        with watch_ownership(StudySync(tmp_path).check_owner, errors.append):
            time.sleep(0.1)
            assert errors == []
            (tmp_path / OWNER).write_text('{"pid": 7, "host": "elsewhere", "since": 0, "command": "tune.py"}')
            deadline = time.monotonic() + 10
            while not errors and time.monotonic() < deadline:
                time.sleep(0.01)
    assert [str(error).partition(" since")[0] for error in errors] == [
        f"{tmp_path}: was taken over by process 7 on elsewhere"
    ]
    assert "elsewhere" in (tmp_path / OWNER).read_text()


def test_a_search_learns_that_its_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hearai.search.storage.lock.CHECK_INTERVAL_S", 0.01)
    errors: list[UserError] = []
    folder, gone = tmp_path / "study", threading.Event()
    with open_journal(folder):
        with watch_ownership(StudySync(folder).check_owner, lambda error: (errors.append(error), gone.set())):
            folder.rename(tmp_path / "renamed")
            (folder / "trials" / "0001").mkdir(parents=True)  # by a process that still runs
            assert gone.wait(10)
    assert [str(error).partition(":")[0] for error in errors] == [str(folder / "journal.log")]


HOLD = """
import os, sys
from pathlib import Path
from hearai.search.storage.journal_backend import open_journal
with open_journal(Path(sys.argv[1])):
    os.symlink("journal.log", Path(sys.argv[1]) / "journal.log.lock")  # as a writer holds it
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


@pytest.mark.heavy
def test_a_killed_search_does_not_block_the_next_one(open_store: Callable, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        number = other.stdout.readline().strip()
        words = f"is being searched by process {number} on .* since .* min\\): python -c"
        with pytest.raises(UserError, match=words), open_journal(tmp_path):
            pass
        other.kill()
    with open_store(tmp_path) as store:  # Optuna's lock of the dead writer would block for 30 s
        assert store.propose(suggest_x).number == 0
    assert not (tmp_path / "owner.json").exists()
