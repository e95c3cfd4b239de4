"""A study in an object store: what is copied when, and who may search there. With a real S3 server on loopback."""

import json
import os
import time
from pathlib import Path

import pytest

from hearai.errors import UserError
from hearai.search.storage.layout import JOURNAL
from hearai.search.storage.lock import study_lock
from hearai.search.storage.object_store import ObjectStore
from hearai.search.storage.study_sync import StudySync
from tests.helpers.s3_server import Bucket
from tests.helpers.text_files import read_texts, write_text


@pytest.mark.heavy
def test_a_study_continues_from_the_store_if_it_has_more(bucket: Bucket, tmp_path: Path) -> None:
    here, there = (StudySync(tmp_path / name / "study", bucket.uri) for name in ("here", "there"))
    with here.syncing():
        write_text(here.folder / JOURNAL, "one\ntwo\n")
        write_text(here.folder / "study.yaml", "x: 1\n")
    with there.syncing():
        assert read_texts(there.folder) == {JOURNAL: "one\ntwo\n", "study.yaml": "x: 1\n"}
        write_text(there.folder / JOURNAL, "one\ntwo\nthree\nhal")
    assert ObjectStore(bucket.uri).read(f"study/{JOURNAL}") == b"one\ntwo\nthree\n", "complete lines only"
    with here.syncing():
        assert (here.folder / JOURNAL).read_text() == "one\ntwo\nthree\n"


@pytest.mark.heavy
def test_diverged_journals_are_refused_and_not_changed(bucket: Bucket, tmp_path: Path) -> None:
    here, there = (StudySync(tmp_path / name / "study", bucket.uri) for name in ("here", "there"))
    with here.syncing():
        write_text(here.folder / JOURNAL, "one\ntwo\n")
    write_text(there.folder / JOURNAL, "one\nother\n")
    with (
        pytest.raises(UserError, match=r"the local journal and the one in s3://.*/study have diverged"),
        there.syncing(),
    ):
        pass
    assert read_texts(there.folder) == {JOURNAL: "one\nother\n"}
    assert ObjectStore(bucket.uri).read(f"study/{JOURNAL}") == b"one\ntwo\n"


@pytest.mark.heavy
def test_a_study_searched_by_another_machine_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    owner = {"pid": 7, "host": "elsewhere", "since": time.time() - 60, "command": "tune.py", "seen": time.time() - 5}
    ObjectStore(bucket.uri).write("study/owner.json", json.dumps(owner).encode())
    with pytest.raises(UserError, match="is being searched by process 7 on elsewhere"):
        with StudySync(tmp_path / "study", bucket.uri).syncing():
            pass
    assert os.listdir(tmp_path) == []
    ObjectStore(bucket.uri).write("study/owner.json", json.dumps({**owner, "seen": time.time() - 500}).encode())
    with study_lock(tmp_path / "study"), StudySync(tmp_path / "study", bucket.uri).syncing():  # it is considered dead
        assert json.loads(ObjectStore(bucket.uri).read("study/owner.json"))["pid"] == os.getpid()
    assert ObjectStore(bucket.uri).list() == []


@pytest.mark.heavy
def test_an_owner_whose_clock_was_ahead_is_not_waited_for(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearai.search.storage.lock.STALE_S", 0.5)
    monkeypatch.setattr("hearai.search.storage.lock.POLL_S", 0.05)
    owner = {"pid": 7, "host": "elsewhere", "since": time.time(), "command": "tune.py", "seen": time.time() + 86400}
    ObjectStore(bucket.uri).write("study/owner.json", json.dumps(owner).encode())
    with study_lock(tmp_path / "study"), StudySync(tmp_path / "study", bucket.uri).syncing():
        assert json.loads(ObjectStore(bucket.uri).read("study/owner.json"))["pid"] == os.getpid()


@pytest.mark.heavy
def test_a_driver_considered_dead_does_not_overwrite_the_journal(bucket: Bucket, tmp_path: Path) -> None:
    sync, store = StudySync(tmp_path / "study", bucket.uri), ObjectStore(bucket.uri).below("study")
    other = json.dumps({"pid": 7, "host": "elsewhere", "since": 0, "command": "tune.py", "seen": 0}).encode()
    with pytest.raises(UserError, match="was taken over by process 7 on elsewhere"):
        with study_lock(sync.folder), sync.syncing():
            write_text(sync.folder / JOURNAL, "one\n")
            sync.copy_journal()
            store.write("owner.json", other)
            store.write(JOURNAL, b"one\ntheirs\n")
            write_text(sync.folder / JOURNAL, "one\nours\n")
            with pytest.raises(UserError, match="was taken over"):
                sync.check_owner()
    assert store.read(JOURNAL) == b"one\ntheirs\n" and store.read("owner.json") == other
