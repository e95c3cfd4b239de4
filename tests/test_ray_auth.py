"""The token file of Ray: made by us, for its owner only."""

import logging
import os
import stat
from pathlib import Path

import pytest

from hearai.cli.ray_auth import ensure_token, protect_token, show_token
from hearai.errors import UserError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_token_is_readable_for_its_owner_only(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        ensure_token()
    finally:
        os.umask(before)
    token = home / ".ray" / "auth_token"
    assert mode_of(token) == 0o600 and len(token.read_text()) == 64
    first = token.read_text()
    ensure_token()
    assert token.read_text() == first and [path.name for path in token.parent.iterdir()] == ["auth_token"]


def test_without_a_home_folder_no_token_is_made(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)  # in no password database
    monkeypatch.chdir(tmp_path)
    show_token()
    with pytest.raises(UserError, match="this user has no home folder: set HOME to a writable folder"):
        ensure_token()
    assert not list(tmp_path.iterdir()), "such as a folder named ~"


def test_the_named_file_gets_the_token_where_it_is_empty(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = home / "secrets" / "ray"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(named))
    named.parent.mkdir()
    named.touch(0o644)
    ensure_token()
    assert mode_of(named) == 0o600 and len(named.read_text()) == 64 and not (home / ".ray").exists()


@pytest.mark.parametrize(("name", "value"), [("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "0" * 64)])
def test_no_file_is_made_where_none_is_used(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    ensure_token()
    assert not list(home.iterdir())


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o666, 0o604])
def test_the_mode_of_an_existing_token_is_corrected(home: Path, caplog: pytest.LogCaptureFixture, mode: int) -> None:
    token = home / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("0" * 64)
    token.chmod(mode)
    with caplog.at_level(logging.WARNING):
        protect_token()
    assert mode_of(token) == 0o600 and token.read_text() == "0" * 64
    assert "other users could read Ray's token" in caplog.text and "0" * 64 not in caplog.text


def test_what_cannot_be_a_token_file_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "a file").touch()
    for path, words in ((home, "expected a file"), (home / "a file" / "token", "cannot be written")):
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
        with pytest.raises(UserError, match=words):
            ensure_token()
    (home / "link").symlink_to(home / "nowhere")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "link"))
    with pytest.raises(UserError, match="cannot be written"):
        ensure_token()
    assert not (home / "nowhere").exists()
    show_token()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user and become that user")
def test_an_open_token_of_another_user_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0" * 64)
    token.chmod(0o644)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o011)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setuid(65534)
            os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
            protect_token()
        except UserError as error:
            code = 0 if "other users of this machine can use Ray's token" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
