"""Paths from users and from elsewhere: refused before anything is written."""

import os
from pathlib import Path

import pytest

from hearai.errors import DiskFull, UserError
from hearai.files import (
    atomic_write_text,
    cache_folder,
    folder_name_problem,
    relative_name_problem,
    require_free_space,
    require_writable_file,
    require_writable_folder,
)

ROGUE_NAMES = [
    *("../x", "a/../../x", "..", ".", "./x", "a/.", "/etc/passwd", "", "a//b", "a/", "/"),
    *("..\\x", "C:\\x", "a\\..\\b", "a\0b", "a\nb", "\x1b[2J", "x" * 256),
]


@pytest.mark.parametrize("name", ROGUE_NAMES)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    assert relative_name_problem(name)


@pytest.mark.parametrize("name", ["a", "trials/0001/best/state.pt", ".owner", "..a", "a..", "zażółć", "a b", "..."])
def test_a_name_inside_the_folder_is_accepted(name: str) -> None:
    assert relative_name_problem(name) is None


@pytest.mark.parametrize("name", ["..", ".", "", ".a", "-a", "a/b", "a b", "a\n", "\u0661", "x" * 201])
def test_a_name_that_cannot_be_a_study_is_refused(name: str) -> None:
    assert folder_name_problem(name)
    assert folder_name_problem("hamnosys-2.a_b") is None


@pytest.mark.parametrize("path", ["file", "file/below", "file/below/deeper", "/proc/version/x", "x" * 300, "a\0b"])
def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="^--storage .*give a (writable )?folder"):
        require_writable_folder(tmp_path / path, "--storage")
    require_writable_folder(tmp_path / "new" / "deeper", "--storage")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_more_than_the_disk_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="3 clips need about"):
        require_free_space(tmp_path / "new", 1e18, "3 clips")
    require_free_space(tmp_path / "new", 1, "3 clips")


def test_without_a_home_folder_the_message_names_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HEARAI_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", no_entry)
    with pytest.raises(UserError, match="set HOME to a writable folder"):
        cache_folder()


def test_an_error_of_an_atomic_write_names_the_intended_file(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        atomic_write_text(tmp_path / "missing" / "trials.csv", "x")
    assert caught.value.filename == str(tmp_path / "missing" / "trials.csv")


def test_devices_and_pipes_are_never_replaced(tmp_path: Path) -> None:
    """An output path of /dev/null would replace it by a file, for all programs of the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (lambda: atomic_write_text(pipe, "x"), lambda: require_writable_file(pipe, "--out")):
        with pytest.raises(UserError, match="pipe: a device or a pipe, which would be replaced; give another path"):
            write()
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]
    with pytest.raises(UserError, match="--out .*: a folder; give a file"):
        require_writable_file(tmp_path, "--out")
