"""A study in an object store: a real S3 server on loopback."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearai.errors import StoreLost, UserError
from hearai.search.storage.lock import owned
from hearai.search.storage.object_store import Store
from hearai.search.storage.study_sync import JOURNAL, StudySync
from tests.helpers.s3_server import Bucket, Flaky, flaky_way_to


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "here"
    for name in ("metrics.jsonl", "last/state.pt", "best/state.pt", ".half-written"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    return place


def test_a_folder_comes_back_as_it_was_sent(bucket: Bucket, folder: Path, tmp_path: Path) -> None:
    store = Store(bucket.uri).below("study", "trials", "0000")
    assert store.push(folder) == 3, "what is half-written stays here"
    assert store.push(folder) == 0, "what has not changed is not sent again"
    (folder / "last/state.pt").write_text("2")
    assert store.push(folder) == 1
    assert store.pull(tmp_path / "there", skip=("best",)) == 2
    assert tree(tmp_path / "there") == {"metrics.jsonl": "metrics.jsonl", "last/state.pt": "2"}
    store.remove("last", "never-there")
    assert Store(bucket.uri).list() == [f"study/trials/0000/{name}" for name in ("best/state.pt", "metrics.jsonl")]


def test_what_was_changed_here_since_it_was_sent_stays(bucket: Bucket, folder: Path) -> None:
    store = Store(bucket.uri)
    store.push(folder)
    time.sleep(1.1)  # S3 knows seconds
    (folder / "metrics.jsonl").write_text("its last words")
    store.pull(folder)
    assert (folder / "metrics.jsonl").read_text() == "its last words"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://nobodys-bucket/runs", "NO_SUCH_BUCKET"),
        ("gopher://x/y", "Unrecognized filesystem"),
    ],
)
def test_a_store_that_cannot_be_used_says_why(
    bucket: Bucket, uri: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearai.search.storage.object_store.PAUSES_S", ())
    with pytest.raises(StoreLost, match=words):
        Store(uri).write("file", b"")


@pytest.fixture
def flaky(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with flaky_way_to(bucket) as environment:
        monkeypatch.setenv("AWS_ENDPOINT_URL", environment["AWS_ENDPOINT_URL"])
        yield


def test_a_store_that_fails_now_and_then_loses_nothing(
    bucket: Bucket, flaky: None, folder: Path, tmp_path: Path
) -> None:
    Store(bucket.uri).push(folder)
    Store(bucket.uri).pull(tmp_path / "there")
    assert tree(tmp_path / "there") == {name: text for name, text in tree(folder).items() if name[0] != "."}
    assert Flaky.count > 3, "it has hung up more than once"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_study_goes_on_from_the_store_where_this_disk_knows_less(bucket: Bucket, tmp_path: Path) -> None:
    here, there = (StudySync(tmp_path / name / "study", bucket.uri) for name in ("here", "there"))
    with here.synced():
        write(here.folder / JOURNAL, "one\ntwo\n")
        write(here.folder / "study.yaml", "x: 1\n")
    with there.synced():
        assert tree(there.folder) == {JOURNAL: "one\ntwo\n", "study.yaml": "x: 1\n"}
        write(there.folder / JOURNAL, "one\ntwo\nthree\nhal")
    assert Store(bucket.uri).read(f"study/{JOURNAL}") == b"one\ntwo\nthree\n", "whole lines only"
    with here.synced():
        assert (here.folder / JOURNAL).read_text() == "one\ntwo\nthree\n"


def test_a_journal_that_went_another_way_is_refused_and_nothing_changed(bucket: Bucket, tmp_path: Path) -> None:
    here, there = (StudySync(tmp_path / name / "study", bucket.uri) for name in ("here", "there"))
    with here.synced():
        write(here.folder / JOURNAL, "one\ntwo\n")
    write(there.folder / JOURNAL, "one\nother\n")
    with pytest.raises(UserError, match="have gone separate ways"), there.synced():
        pass
    assert tree(there.folder) == {JOURNAL: "one\nother\n"}
    assert Store(bucket.uri).read(f"study/{JOURNAL}") == b"one\ntwo\n"


def test_a_study_that_another_machine_searches_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    owner = {"pid": 7, "host": "elsewhere", "since": time.time() - 60, "command": "tune.py", "seen": time.time() - 5}
    Store(bucket.uri).write("study/owner.json", json.dumps(owner).encode())
    with pytest.raises(UserError, match="is being searched by process 7 on elsewhere"):
        with StudySync(tmp_path / "study", bucket.uri).synced():
            pass
    assert os.listdir(tmp_path) == []
    Store(bucket.uri).write("study/owner.json", json.dumps({**owner, "seen": time.time() - 500}).encode())
    with owned(tmp_path / "study"), StudySync(tmp_path / "study", bucket.uri).synced():  # it is dead
        assert json.loads(Store(bucket.uri).read("study/owner.json"))["pid"] == os.getpid()
    assert Store(bucket.uri).list() == []


def test_a_driver_that_was_taken_for_dead_leaves_the_others_journal_alone(bucket: Bucket, tmp_path: Path) -> None:
    sync, store = StudySync(tmp_path / "study", bucket.uri), Store(bucket.uri).below("study")
    other = json.dumps({"pid": 7, "host": "elsewhere", "since": 0, "command": "tune.py", "seen": 0}).encode()
    with pytest.raises(UserError, match="was taken over by process 7 on elsewhere"):
        with owned(sync.folder), sync.synced():
            write(sync.folder / JOURNAL, "one\n")
            sync.copy_journal()
            store.write("owner.json", other)
            store.write(JOURNAL, b"one\ntheirs\n")
            write(sync.folder / JOURNAL, "one\nours\n")
            with pytest.raises(UserError, match="was taken over"):
                sync.check_owner()
    assert store.read(JOURNAL) == b"one\ntheirs\n" and store.read("owner.json") == other
