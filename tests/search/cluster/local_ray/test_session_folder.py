"""The folder for Ray's sockets: chosen by ourselves where TMPDIR cannot be used, refused where RAY_TMPDIR cannot."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hearai.errors import UserError
from hearai.search.cluster.local_ray import session_folder
from hearai.search.cluster.local_ray.session_folder import choose_session_folder, short_tmpdir

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Unix sockets")


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path, which is also the only one where a replacement is looked for."""
    monkeypatch.setenv("RAY_TMPDIR", "")  # restored after the test
    monkeypatch.delenv("RAY_TMPDIR")
    with tempfile.TemporaryDirectory(prefix="ha", dir="/tmp") as folder:
        (Path(folder) / "s").mkdir()
        monkeypatch.setattr(session_folder, "SYSTEM_FOLDERS", (f"{folder}/s",))
        yield Path(folder)


def unusable(base: Path, kind: str) -> str:
    """A folder that cannot be used for Ray's sockets."""
    path = base / "x"
    if kind == "long":
        path = base / ("a" * 90)
        path.mkdir()
    elif kind == "umlauts":  # short in characters, not in bytes
        path = base / ("ä" * 20)
        path.mkdir()
    elif kind == "file":
        path.touch()
    elif kind == "below a file":
        path.touch()
        path = path / "y"
    elif kind == "of another user":
        (path / "ray").mkdir(parents=True)
        os.chown(path / "ray", 12345, 12345)
    elif kind == "relative":
        return "tmp"
    elif kind == "not a disk":
        return "/proc"
    return str(path)


KINDS = ["long", "umlauts", "file", "below a file", "of another user", "relative", "not a disk"]


@pytest.mark.parametrize("kind", KINDS)
def test_another_folder_is_used_instead_of_an_unusable_tmpdir(
    base: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "of another user" and os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    monkeypatch.setenv("TMPDIR", unusable(base, kind))
    choose_session_folder()
    chosen = Path(os.environ["RAY_TMPDIR"])
    assert chosen.parent == base / "s" and stat.S_IMODE(chosen.stat().st_mode) == 0o700
    choose_session_folder()  # accepts its own choice
    assert os.environ["RAY_TMPDIR"] == str(chosen)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unusable_ray_tmpdir_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    if kind == "of another user" and os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    monkeypatch.setenv("RAY_TMPDIR", unusable(base, kind))
    with pytest.raises(UserError, match="^RAY_TMPDIR: .*set it to a folder of your own with a short path"):
        choose_session_folder()
    assert not list((base / "s").iterdir())


def test_a_full_disk_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_folder, "LEAST_FREE", 10**18)
    monkeypatch.setenv("RAY_TMPDIR", str(base))
    with pytest.raises(UserError, match=r"^RAY_TMPDIR: .* MB of free space, and Ray's logs need"):
        choose_session_folder()


def test_a_usable_tmpdir_is_kept_and_left_clean(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(base))
    choose_session_folder()
    assert "RAY_TMPDIR" not in os.environ and not list((base / "ray").iterdir())


def test_a_replacement_that_others_have_prepared_is_not_used(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", unusable(base, "long"))
    (base / "elsewhere").mkdir()
    (base / "s" / f"hearai-{os.geteuid()}").symlink_to(base / "elsewhere")
    with pytest.raises(UserError, match="set RAY_TMPDIR to a folder of your own"):
        choose_session_folder()


def test_processes_of_ray_get_a_short_tmpdir(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's dashboard starts a process pool, whose sockets are in TMPDIR."""
    long = unusable(base, "long")
    monkeypatch.setenv("TMPDIR", long)
    choose_session_folder()
    with short_tmpdir():
        assert os.environ["TMPDIR"] == os.environ["RAY_TMPDIR"] != long
    assert os.environ["TMPDIR"] == long
    monkeypatch.setenv("TMPDIR", str(base))
    with short_tmpdir():
        assert os.environ["TMPDIR"] == str(base)
