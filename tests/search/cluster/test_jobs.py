"""What is said of a submitted search before anything is sent, and what is sent."""

import base64
import hashlib
import io
import os
import socketserver
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hearai.errors import UserError
from hearai.search.cluster.code_bundle import packed
from hearai.search.cluster.dashboard import refuse_open
from hearai.search.cluster.jobs import check_dashboard
from hearai.search.cluster.results_bundle import BEGIN, END, unwrap, wrap
from tests.helpers import ROOT

Call = Callable[..., tuple[int, str, str]]
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the scripts set there for Ray ends with the test; as scripts they find each other."""
    monkeypatch.syspath_prepend(ROOT / "experiments")
    for name in ("RAY_AUTH_MODE", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


# --- what is sent


def test_the_code_is_sent_whole_and_nothing_else() -> None:
    with packed(["--space", "hamnosys"]) as (folder, arguments):
        assert sorted(path.name for path in folder.iterdir()) == ["experiments", "hearai", "search_spaces"]
        assert all((folder / name).is_file() for name in ("experiments/tune.py", "hearai/hamnosys_tables.json"))
        assert not list(folder.rglob("__pycache__"))
        assert arguments == ["--space", "hamnosys"], "a shipped space has gone along already"
    assert not folder.exists()


@pytest.mark.parametrize("form", ["two words", "one word"])
def test_files_of_this_machine_go_along_and_their_options_name_the_copies(form: str, tmp_path: Path) -> None:
    given = {"--space": "my space.yaml", "--config": "base.yml", "--warm-start": "journal.log"}
    words: list[str] = []
    for option, name in given.items():
        (tmp_path / name).write_text(option)
        words += [option, str(tmp_path / name)] if form == "two words" else [f"{option}={tmp_path / name}"]
    with packed(words) as (folder, there):
        if form == "one word":
            there = [part for word in there for part in word.split("=")]
        assert there[::2] == list(given)
        for option, place in zip(there[::2], there[1::2], strict=True):
            assert not Path(place).is_absolute() and Path(place).name == given[option]
            assert (folder / place).read_text() == option


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.yaml").write_text(name)
    words = ["--space", str(tmp_path / "a/x.yaml"), "--config", str(tmp_path / "b/x.yaml")]
    with packed(words) as (folder, there):
        assert [(folder / place).read_text() for place in there[1::2]] == ["a", "b"]


def test_other_arguments_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words with spaces, a name that is a file's, a file there that is not here, a file that is called as a space."""
    monkeypatch.chdir(tmp_path)
    for name in ("base.yml", "hamnosys"):
        Path(name).write_text("")
    words = ["--name", "base.yml", "--data-path", "/data/two words", "--set", "a.b=[1, 2]", "--space", "hamnosys"]
    words += ["--warm-start", "/shared/runs/x/journal.log", "--retrain"]
    with packed(words) as (folder, there):
        assert there == words
        assert not (folder / "given").exists()


# --- results as text


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    for name in ("report.html", "best/state.pt", "trials/0000/metrics.jsonl", "owner.lock", ".half"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.urandom(5000))
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_results_come_out_as_they_went_in_without_the_trials(results: Path, tmp_path: Path) -> None:
    unwrap(f"a warning of Ray\n{wrap(results)}\nanother\n", tmp_path / "here")
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
    ids=["cut", "other letters", "no letter of base64", "torn", "empty", "nothing"],
)
def test_text_that_is_damaged_is_refused_and_nothing_is_written(
    damage: Callable[[str], str], results: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="did not arrive whole"):
        unwrap(damage(wrap(results)), tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("name", ["../climbed", "best/../../climbed", "link"])
def test_results_that_climb_out_of_their_folder_are_refused_whole(name: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("report.html"))
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    content = buffer.getvalue()
    digest, letters = hashlib.sha256(content).hexdigest(), base64.b64encode(content).decode()
    with pytest.raises(UserError, match="were not unpacked"):
        unwrap(f"{BEGIN}\n{digest}\n{letters}\n{END}", tmp_path / "a" / "here")
    assert files(tmp_path) == []


# --- said here, before anything is sent


REFUSED = {
    "no address": ([], "set RAY_API_SERVER_ADDRESS"),
    "an address without http": (["--address", "head:8265"], "give the dashboard's address, http://HOST:8265"),
    "an address of another kind": (["--address", "ssh://head:8265"], "give the dashboard's address"),
    "an address with no host": (["--address", "http://"], "give the dashboard's address"),
    "an address with a path": (["--address", "http://head:8265/api"], "give the dashboard's address"),
    "a port of letters": (["--address", "http://127.0.0.1:x"], "no connection"),
    "nobody there": (["--address", NOBODY], "no connection"),
}


@pytest.mark.parametrize("verb", [("status",), ("logs", "x"), ("tune", "--space", "smoke", "--storage", "/x")])
@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_address_is_refused(case: str, verb: tuple[str, ...], call: Call) -> None:
    address, words = REFUSED[case]
    code, out, err = call("submit", *verb, *address)
    assert code == 2 and words in err and out == "" and "Traceback" not in err


def test_the_address_given_wins_over_the_variable(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"Hello", 200) as other:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", other)
        _, _, err = call("submit", "status")
        assert other in err
        _, _, err = call("submit", "status", "--address", NOBODY)
        assert NOBODY in err and other not in err


def test_paths_that_mean_nothing_on_the_cluster_are_refused_all_at_once(call: Call, tmp_path: Path) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text(
        "budget: {trials: 1}\nwarm_start: runs/x/journal.log\nspace: {train_parameters.lr: {choice: [1]}}\n"
    )
    options = ["--space", space, "--storage", "runs", "--data-path", "data", "--data-path", "/data", "--dry-run"]
    code, out, err = call("submit", "tune", *options, "--address", NOBODY)
    assert (code, out) == (2, "")
    assert "--storage: got runs; give its full path on the cluster's nodes, or s3:// or gs://" in err
    assert "data_path: got data; give its full path" in err and "got /data" not in err
    assert "warm_start: got runs/x/journal.log" in err
    assert "--dry-run" in err and NOBODY not in err, "nobody was asked"


def test_a_study_that_is_wrong_is_refused_before_anything_is_sent(call: Call, tmp_path: Path) -> None:
    space = tmp_path / "wrong.yaml"
    space.write_text("budget: {trails: 4}\nspace: {train_parameters.lr: {float: [1, 0]}}\n")
    code, out, err = call("submit", "tune", "--space", space, "--storage", "/x", "--address", NOBODY)
    assert code == 2 and out == "" and "trails" in err and NOBODY not in err
    code, _, err = call("submit", "tune", "--space", "smoke", "--name", "a/b", "--storage", "/x", "--address", NOBODY)
    assert code == 2 and "use letters, digits" in err
    code, _, err = call("submit", "tune", "--space", "smoke", "--no-such", "--storage", "/x", "--address", NOBODY)
    assert code == 2 and "--no-such" in err


@pytest.mark.parametrize("verb", ["status", "stop", "logs", "fetch"])
def test_a_name_with_bad_characters_is_refused(verb: str, call: Call) -> None:
    for name in ("../x", "a b", "a/b", ".x"):
        code, _, err = call("submit", verb, name, "--address", NOBODY)
        assert code == 2 and "use letters, digits, '.', '_' and '-'" in err


# --- who answers


@contextmanager
def answering(body: bytes, status: int) -> Iterator[str]:
    """A web server that says this to everything, and is no Ray."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("body", "status"), [(b"<html>Hello</html>", 200), (b"{}", 200), (b"log in", 401), (b"no", 404), (b"oh", 500)]
)
def test_something_else_than_ray_is_told_from_it(body: bytes, status: int, call: Call) -> None:
    with answering(body, status) as address:
        code, out, err = call("submit", "status", "--address", address)
    assert (code, out) == (2, "") and err == (
        f"error: {address}: something answers, but it is not the dashboard of a Ray cluster\n"
    )


class Mumbling(socketserver.BaseRequestHandler):
    """Speaks no HTTP."""

    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


def test_what_speaks_no_http_is_no_traceback() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mumbling) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        with pytest.raises(UserError, match="no connection"):
            check_dashboard(f"http://127.0.0.1:{port}")
        with pytest.raises(UserError, match="no TLS there that can be trusted"):
            check_dashboard(f"https://127.0.0.1:{port}")
        refuse_open(f"http://[::ffff:127.0.0.1]:{port}")
        server.shutdown()
