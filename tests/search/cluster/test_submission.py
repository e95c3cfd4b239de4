"""What `submit.py` refuses before anything is sent."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.helpers.http_server import http_server

Call = Callable[..., tuple[int, str, str]]
UNREACHABLE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that the scripts set for Ray are reset after the test; `submit.py` imports `tune.py` as a script."""
    monkeypatch.syspath_prepend(ROOT / "experiments")
    for name in ("RAY_AUTH_MODE", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


REFUSED = {
    "no address": ([], "set RAY_API_SERVER_ADDRESS"),
    "no http": (["--address", "head:8265"], "give the dashboard's address, http://HOST:8265"),
    "another scheme": (["--address", "ssh://head:8265"], "give the dashboard's address"),
    "no host": (["--address", "http://"], "give the dashboard's address"),
    "a path": (["--address", "http://head:8265/api"], "give the dashboard's address"),
    "an invalid port": (["--address", "http://127.0.0.1:x"], "no connection"),
    "unreachable": (["--address", UNREACHABLE], "no connection"),
}


@pytest.mark.heavy
@pytest.mark.parametrize("verb", [("status",), ("logs", "x"), ("tune", "--space", "smoke", "--storage", "/x")])
@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_address_is_refused(case: str, verb: tuple[str, ...], call: Call) -> None:
    address, message = REFUSED[case]
    code, out, err = call("submit", *verb, *address)
    assert code == 2 and message in err and out == "" and "Traceback" not in err


@pytest.mark.heavy
def test_the_address_option_takes_precedence(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server(b"Hello", 200) as other:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", other)
        _, _, err = call("submit", "status")
        assert other in err
        _, _, err = call("submit", "status", "--address", UNREACHABLE)
        assert UNREACHABLE in err and other not in err


def test_all_paths_that_are_not_the_clusters_are_refused(call: Call, tmp_path: Path) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text(
        "budget: {trials: 1}\nwarm_start: runs/x/journal.log\nspace: {train_parameters.lr: {choice: [1]}}\n"
    )
    options = ["--space", space, "--storage", "runs", "--data-path", "data", "--data-path", "/data", "--dry-run"]
    code, out, err = call("submit", "tune", *options, "--address", UNREACHABLE)
    assert (code, out) == (2, "")
    assert "--storage: got runs; give its absolute path on the cluster's nodes, or s3:// or gs://" in err
    assert "data_path: got data; give its absolute path" in err and "got /data" not in err
    assert "warm_start: got runs/x/journal.log" in err
    assert "--dry-run" in err and UNREACHABLE not in err, "no connection was tried"


@pytest.mark.heavy
def test_a_dry_run_lists_what_would_be_sent(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    options = ("--space", "smoke", "--storage", "/x", "--dry-run")
    code, out, err = call("submit", "tune", *options)
    assert (code, err) == (0, "") and "files would be sent" in out and "\n  experiments/tune.py\n" in out
    code, out, err = call("submit", "tune", *options, "--estimate")
    assert (code, out) == (2, "") and "--estimate: starts nothing" in err


def test_an_invalid_study_is_refused(call: Call, tmp_path: Path) -> None:
    space = tmp_path / "wrong.yaml"
    space.write_text("budget: {trails: 4}\nspace: {train_parameters.lr: {float: [1, 0]}}\n")
    address = ("--address", UNREACHABLE)
    code, out, err = call("submit", "tune", "--space", space, "--storage", "/x", *address)
    assert code == 2 and out == "" and "trails" in err and UNREACHABLE not in err
    code, _, err = call("submit", "tune", "--space", "smoke", "--name", "a/b", "--storage", "/x", *address)
    assert code == 2 and "use letters, digits" in err
    code, _, err = call("submit", "tune", "--space", "smoke", "--no-such", "--storage", "/x", *address)
    assert code == 2 and "--no-such" in err


@pytest.mark.parametrize("verb", ["status", "stop", "logs", "fetch"])
def test_a_name_with_bad_characters_is_refused(verb: str, call: Call) -> None:
    for name in ("../x", "a b", "a/b", ".x"):
        code, _, err = call("submit", verb, name, "--address", UNREACHABLE)
        assert code == 2 and "use letters, digits, '.', '_' and '-'" in err


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("body", "status"), [(b"<html>Hello</html>", 200), (b"{}", 200), (b"log in", 401), (b"no", 404), (b"oh", 500)]
)
def test_another_web_server_is_refused(body: bytes, status: int, call: Call) -> None:
    with http_server(body, status) as address:
        code, out, err = call("submit", "status", "--address", address)
    assert (code, out) == (2, "") and err == (
        f"error: {address}: something answers, but it is not the dashboard of a Ray cluster\n"
    )
