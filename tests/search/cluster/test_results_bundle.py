"""A study's results packed as text and unpacked again."""

import base64
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hearai.errors import UserError
from hearai.search.cluster.results_bundle import BEGIN, END, pack, unpack


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    for name in ("report.html", "best/state.pt", "trials/0000/metrics.jsonl", "owner.lock", ".half"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(5000))
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_unpacked_results_equal_the_packed_ones_without_trials(results: Path, tmp_path: Path) -> None:
    unpack(f"a warning of Ray\n{pack(results)}\nanother\n", tmp_path / "here")
    assert files(tmp_path / "here") == ["best/state.pt", "report.html"]
    assert (tmp_path / "here/best/state.pt").read_bytes() == (results / "best/state.pt").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(text[len(text) // 2], "A" if text[len(text) // 2] != "A" else "B"),
        lambda text: text[: len(text) // 2] + "\u00e4" + text[len(text) // 2 + 1 :],
        lambda text: text[: len(text) // 2] + " " + text[len(text) // 2 :],
        lambda text: f"{BEGIN}\n{END}",
        lambda text: "",
    ],
    ids=["truncated", "other characters", "not base64", "split", "empty body", "no text"],
)
def test_damaged_text_is_refused_and_nothing_is_written(
    damage: Callable[[str], str], results: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="arrived incomplete or damaged"):
        unpack(damage(pack(results)), tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("name", ["../climbed", "best/../../climbed", "link"])
def test_results_that_leave_their_folder_are_refused(name: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("report.html"))
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    content = buffer.getvalue()
    digest, body = hashlib.sha256(content).hexdigest(), base64.b64encode(content).decode()
    with pytest.raises(UserError, match="were not unpacked"):
        unpack(f"{BEGIN}\n{digest}\n{body}\n{END}", tmp_path / "a" / "here")
    assert files(tmp_path) == []
