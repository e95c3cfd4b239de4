"""Files in an object store, with a real S3 server on loopback."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearai.errors import DataError, StoreLost
from hearai.search.storage.object_store import ObjectStore, checked_names
from tests.helpers.s3_server import Bucket, FlakyProxy, flaky_proxy, put_object
from tests.helpers.text_files import read_texts, write_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    for name in ("metrics.jsonl", "last/state.pt", "best/state.pt", ".half-written"):
        write_text(folder / name, name)
    return folder


@pytest.mark.heavy
def test_a_folder_is_downloaded_as_it_was_sent(bucket: Bucket, folder: Path, tmp_path: Path) -> None:
    store = ObjectStore(bucket.uri).below("study", "trials", "0000")
    assert store.push(folder) == 3, "half-written files are not sent"
    assert store.push(folder) == 0, "unchanged files are not sent again"
    (folder / "last/state.pt").write_text("2")
    assert store.push(folder) == 1
    assert store.pull(tmp_path / "there", skip=("best",)) == 2
    assert read_texts(tmp_path / "there") == {"metrics.jsonl": "metrics.jsonl", "last/state.pt": "2"}
    store.remove("last", "never-there")
    assert ObjectStore(bucket.uri).list() == [
        f"study/trials/0000/{name}" for name in ("best/state.pt", "metrics.jsonl")
    ]


@pytest.mark.heavy
def test_local_files_changed_after_sending_are_kept(bucket: Bucket, folder: Path) -> None:
    store = ObjectStore(bucket.uri)
    store.push(folder)
    time.sleep(1.1)  # S3 stores times in seconds
    (folder / "metrics.jsonl").write_text("its last lines")
    store.pull(folder)
    assert (folder / "metrics.jsonl").read_text() == "its last lines"


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://no-such-bucket/runs", "NO_SUCH_BUCKET"),
        ("gopher://x/y", "Unrecognized filesystem"),
    ],
)
def test_an_unusable_store_raises_with_the_reason(
    bucket: Bucket, uri: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearai.search.storage.object_store.RETRY_PAUSES_S", ())
    with pytest.raises(StoreLost, match=reason):
        ObjectStore(uri).write("file", b"")


@pytest.fixture
def flaky(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with flaky_proxy(bucket) as environment:
        monkeypatch.setenv("AWS_ENDPOINT_URL", environment["AWS_ENDPOINT_URL"])
        yield


@pytest.mark.parametrize("request_of", [ObjectStore.list, ObjectStore.folders], ids=["list", "folders"])
def test_an_unusable_uri_is_no_traceback(request_of) -> None:
    with pytest.raises(StoreLost, match="cannot be listed"):
        request_of(ObjectStore("s3://bucket/x?no_such_option=1"))


@pytest.mark.heavy
def test_requests_that_fail_are_retried(bucket: Bucket, flaky: None, folder: Path, tmp_path: Path) -> None:
    ObjectStore(bucket.uri).push(folder)
    ObjectStore(bucket.uri).pull(tmp_path / "there")
    assert read_texts(tmp_path / "there") == {name: text for name, text in read_texts(folder).items() if name[0] != "."}
    assert FlakyProxy.count > 3, "several connections were closed"


@pytest.mark.parametrize(
    "path",
    [
        *("b/s/../../x", "b/s/..", "b/s//etc/passwd", "b/s/a//b", "b/s/", "b/s", "b/s/a\\b", "b/s/a\0b", "b/s/./a"),
        *("b/sibling/a", "other/s/a", "/etc/passwd", "../x", "", "b/s/good/below"),
    ],
)
def test_a_listed_name_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(DataError, match="nothing was written"):
        checked_names({"b/s/good": 1, path: 2}, "b/s/", "b/s", "s3://b/s")
    assert checked_names({"b/s/good": 1, "b/s/x/y": 2}, "b/s/", "b/s", "s3://b/s") == {"good": 1, "x/y": 2}


@pytest.mark.heavy
@pytest.mark.parametrize("key", ["study/../../../outside.txt", "study/trials/..\\outside.txt"])
def test_nothing_is_written_if_a_store_lists_a_rogue_name(bucket: Bucket, tmp_path: Path, key: str) -> None:
    put_object(bucket, key)
    put_object(bucket, "study/a.txt")
    store = ObjectStore(bucket.uri).below("study")
    for use in (lambda: store.pull(tmp_path / "x" / "y" / "there"), store.list, lambda: store.remove("")):
        with pytest.raises(DataError, match="leads elsewhere|backslash"):
            use()
    assert list(tmp_path.iterdir()) == []
