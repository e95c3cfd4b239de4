"""Token authentication as SECURITY.md promises it: requests need the token, and only its file contains it."""

import os
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray

from hearai.config.study import Study
from hearai.search.cluster.connect import login_hint
from hearai.search.run import Options, run_study
from tests.helpers import ROOT

pytestmark = pytest.mark.usefixtures("ray_session")
TOKEN = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))


def command_lines() -> Iterator[tuple[Path, bytes]]:
    """(file, arguments or title) of every visible process."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path, path.read_bytes()
        except OSError:  # the process has ended
            continue


def file_contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path, path.read_bytes()


@pytest.mark.parametrize("token", [None, "0" * 64], ids=["none", "wrong"])
def test_requests_without_the_right_token_are_refused(token: str | None) -> None:
    address = f"http://{ray._private.worker.get_dashboard_url()}/api/jobs/"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10)
    assert refused.value.code in (401, 403)
    headers = {"Authorization": f"Bearer {TOKEN.read_text().strip()}"}
    assert urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10).status == 200


def test_only_the_token_file_contains_the_token_for_its_owner(make_study: Callable[..., Study], tmp_path: Path) -> None:
    printed: list[str] = []
    run_study(
        make_study({"budget": {"trials": 1}, "finalists": {"count": 0}}),
        Options(tmp_path, max_concurrent=1),
        printed.append,
    )
    token = TOKEN.read_text().strip().encode()
    assert len(token) >= 32
    login_hint()
    assert stat.S_IMODE(TOKEN.stat().st_mode) == 0o600
    assert token.decode() not in "".join(printed)
    logs = Path(ray._private.worker._global_node.get_session_dir_path())
    seen = [*file_contents(tmp_path), *file_contents(logs), *command_lines()]
    assert len(seen) > 50
    assert [path for path, content in seen if token in content] == []


def test_the_dashboard_listens_on_loopback_only() -> None:
    host, _, _ = ray._private.worker.get_dashboard_url().rpartition(":")
    assert host == "127.0.0.1"


def test_a_token_in_a_variable_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    assert login_hint() == "log in with the token in RAY_AUTH_TOKEN"


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounting needs root and unshare")
def test_a_read_only_token_file_is_used(tmp_path: Path) -> None:
    """Docker and Kubernetes mount secrets read-only."""
    token = tmp_path / "secret"
    token.write_text("0" * 64)
    token.chmod(0o644)
    code = "from hearai.search.cluster.connect import login_hint; print(login_hint())"
    mount = f'mount --bind "{tmp_path}" "{tmp_path}" && mount -o remount,ro,bind "{tmp_path}" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, "-c", code]
    environment = {**os.environ, "RAY_AUTH_TOKEN_PATH": str(token)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == f"log in with the token in {token}\n", done.stderr


@pytest.mark.parametrize(("mode", "code"), [(None, 0), ("disabled", 2)], ids=["unset", "disabled"])
def test_scripts_send_the_token_unless_it_is_disabled(mode: str | None, code: int) -> None:
    script = ROOT / "experiments" / "submit.py"
    command = [sys.executable, str(script), "status", "--address"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    done = subprocess.run(
        [*command, f"http://{ray._private.worker.get_dashboard_url()}"],
        env=environment if mode is None else {**environment, "RAY_AUTH_MODE": mode},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr


@pytest.mark.parametrize(("first", "mode"), [("", "token"), ("import ray", "None")], ids=["before Ray", "after it"])
def test_the_token_mode_is_set_only_before_ray_is_imported(tmp_path: Path, first: str, mode: str) -> None:
    (tmp_path / "token").write_text("0" * 64)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    environment |= {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    lines = (
        first,
        "import os, hearai.cli.ray_auth",
        "hearai.cli.ray_auth.show_token()",
        "print(os.getenv('RAY_AUTH_MODE'))",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == f"{mode}\n", done.stderr
