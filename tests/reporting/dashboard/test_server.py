"""Real requests to the real server: pages, token, hosts, paths that lead elsewhere, tools."""

import html
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest

from hearai.errors import UserError
from hearai.reporting.dashboard.logs import TAIL_BYTES
from hearai.reporting.dashboard.rows import StudyReader
from hearai.reporting.dashboard.server import dashboard_server
from hearai.reporting.dashboard.store_copy import StoreCopy, store_copy
from hearai.search.storage.lock import record_dashboard, study_lock
from hearai.search.storage.object_store import ObjectStore
from tests.helpers import ROOT
from tests.helpers.dashboard_browser import Browser
from tests.helpers.report_files import Page, html_of
from tests.helpers.s3_server import Bucket

HOSTILE = "<img src=x onerror=alert(1)>"
"""The name of a study of the fixture `storage`."""

pytestmark = pytest.mark.heavy


def rows_of(text: str) -> dict[str, str]:
    """{study: the text of its row}."""
    rows = [html.unescape(re.sub("<[^>]*>", " ", row)) for row in text.split("<tr>")[2:]]
    found = [row.partition("</tbody>")[0] for row in rows]
    return {row.split("\n")[0].strip(): " ".join(row.split()) for row in found}


def test_the_list_has_every_study_with_its_state(browser: Browser) -> None:
    rows = rows_of(browser.ask("/").text)
    assert set(rows) == {"tiny", "stopped", "killed", HOSTILE}
    assert "tiny finished 0.600 5 of 40" in rows["tiny"]
    assert "stopped paused 0.400 1 of 40" in rows["stopped"] and "1 paused log - " in rows["stopped"]
    assert "killed interrupted" in rows["killed"] and f"was 1 on {socket.gethostname()}" in rows["killed"]


def test_a_search_that_starts_and_ends_changes_the_list(browser: Browser, storage: Path) -> None:
    with study_lock(storage / "stopped"):
        record_dashboard(storage / "stopped", "http://127.0.0.1:8265")
        assert wait_for(browser, "stopped", "running")
        reply = browser.ask("/")
        assert "1 running" in rows_of(reply.text)["stopped"] and 'href="http://127.0.0.1:8265"' in reply.text
        page = browser.ask("/studies/stopped/").text
        assert f"kill {os.getpid()}</pre>" in page and "extend" not in page
    assert wait_for(browser, "stopped", "paused")


@pytest.mark.parametrize(("load", "ended"), [(1e9, 1), (1e-9, 0)])
def test_a_journal_that_grows_is_read_only_so_often(
    storage: Path, monkeypatch: pytest.MonkeyPatch, load: float, ended: int
) -> None:
    """Reading takes time from the search that writes; but whether it runs or has ended is seen at once."""
    monkeypatch.setattr("hearai.reporting.dashboard.rows.READ_INTERVAL_S", 0.0)
    monkeypatch.setattr("hearai.reporting.dashboard.rows.MOST_LOAD", load)
    journal = storage / "stopped" / "journal.log"
    content = journal.read_bytes()
    journal.write_bytes(b"".join(content.splitlines(keepends=True)[:4]))
    reader = StudyReader(storage)
    assert reader.row("stopped").info.ended == 0
    journal.write_bytes(content)
    assert reader.row("stopped").info.ended == ended
    with study_lock(storage / "stopped"):
        assert reader.row("stopped").state == "running" and reader.row("stopped").info.ended == 1


def wait_for(browser: Browser, name: str, state: str) -> bool:
    """Whether the list shows a state within 20 s: it looks at the files every 2 s."""
    for _ in range(100):
        if f"{name} {state}" in rows_of(browser.ask("/").text)[name]:
            return True
        time.sleep(0.2)
    return False


def test_a_study_page_has_commands_that_can_be_pasted(browser: Browser) -> None:
    page = Page(browser.ask("/studies/stopped/").text)
    assert "python experiments/tune.py --space hamnosys --trials 40 --name 'a; b'\n" in page.text
    assert "python experiments/tune.py --space hamnosys --name 'a; b' --trials 80\n" in page.text
    assert "python experiments/report.py " in page.text and not page.open


def test_reports_and_logs_are_served(browser: Browser, storage: Path) -> None:
    assert browser.ask("/studies/tiny/report").status == 404
    source = html_of(storage / "tiny")
    reply = browser.ask("/studies/tiny/report")
    assert reply.text == source and "sandbox" in reply.headers["Content-Security-Policy"]
    reply = browser.ask("/studies/stopped/logs/output.log")
    assert reply.text == "first line\n\\x1b[2Jsecond <b>line</b>\n" and reply.headers["Content-Type"].startswith(
        "text/plain"
    )
    assert browser.ask("/studies/stopped/logs/trials/0000/train.log").text == "epoch 1\n"
    (storage / "stopped" / "output.log").write_text("x" * 99 + "\n" + "a line\n" * TAIL_BYTES)
    text = browser.ask("/studies/stopped/logs/output.log").text
    assert text.startswith("[the first ") and text.endswith("\na line\n") and len(text) < TAIL_BYTES + 300


def test_hostile_names_are_escaped_and_found(browser: Browser) -> None:
    text = browser.ask("/").text
    assert "<img" not in text and HOSTILE in Page(text).text
    reply = browser.ask(f"/studies/{quote(HOSTILE, safe='')}/")
    assert reply.status == 200 and "<img" not in reply.text and HOSTILE in Page(reply.text).text


@pytest.mark.parametrize(
    "path",
    [
        "/studies/../",
        "/studies/%2e%2e/report",
        "/studies/..%2ftiny/report",
        "/studies/none/",
        "/studies/stopped/logs/journal.log",
        "/studies/stopped/logs/../tiny/study.yaml",
        "/studies/stopped/logs/..%2ftiny%2fstudy.yaml",
        "/studies/stopped/logs/trials/..%2f..%2foutput.log",
        "/studies/stopped/logs/trials/0000/config.yaml",
        "/studies/stopped/logs/%2fetc%2fpasswd",
        "/studies/stopped/logs/output.log%00",
        "/studies/stopped/logs/tune.log",
        "/etc/passwd",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_served(browser: Browser, path: str) -> None:
    assert browser.ask(path).status == 404


def test_links_that_lead_out_of_a_study_are_not_followed(browser: Browser, storage: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    study = storage / "stopped"
    (study / "report.html").symlink_to(tmp_path / "secret")
    (study / "tune.log").symlink_to(tmp_path / "secret")
    shutil.rmtree(study / "trials" / "0001")
    (study / "trials" / "0001").symlink_to(tmp_path)
    (tmp_path / "train.log").write_text("secret")
    os.mkfifo(study / "warnings.log")
    for path in ("report", "logs/tune.log", "logs/trials/0001/train.log", "logs/warnings.log"):
        reply = browser.ask(f"/studies/stopped/{path}")
        assert reply.status == 404 and reply.text.count("secret") == 0, path


def test_only_the_holder_of_the_token_is_answered(browser: Browser) -> None:
    stranger = Browser(browser.address)
    for path in ("/", "/?token=wrong", "/?token=%ff", "/studies/tiny/", "/refresh.js"):
        assert stranger.ask(path).status == 401, path
    assert stranger.ask("/", Cookie="a=b; hearai=x").status == 401
    assert stranger.ask("/studies/tiny/optuna", "POST", Origin=f"http://{stranger.host}").status == 401
    reply = stranger.log_in()
    assert reply.status == 303 and reply.headers["Location"] == "/"
    assert "HttpOnly; SameSite=Strict" in reply.headers["Set-Cookie"] and stranger.ask("/").status == 200


def test_the_token_opens_any_page_but_no_other_site(browser: Browser) -> None:
    query = browser.address.partition("?")[2]
    assert browser.ask(f"/studies/tiny/?{query}").headers["Location"] == "/studies/tiny/"
    assert browser.ask(f"////evil.example/?{query}").headers["Location"] == "/evil.example/"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[", "10.0.0.1", ""])
def test_requests_with_another_host_are_refused(browser: Browser, host: str) -> None:
    assert browser.ask("/", Host=host).status == 403


@pytest.mark.parametrize("host", ["localhost:1234", "[::1]:80", "127.0.0.1"])
def test_a_tunnel_may_have_another_port(browser: Browser, host: str) -> None:
    assert browser.ask("/", Host=host).status == 200


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1"])
def test_other_sites_start_nothing(browser: Browser, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert browser.ask("/studies/tiny/optuna", "POST", **headers).status == 403


def test_optuna_dashboard_starts_once_and_ends_with_the_server(storage: Path) -> None:
    before = (storage / "tiny" / "journal.log").read_bytes()
    with dashboard_server(storage, str(storage)) as address:
        browser = Browser(address)
        browser.log_in()
        origin = f"http://{browser.host}"
        reply = browser.ask("/studies/tiny/optuna", "POST", Origin=origin)
        url = reply.headers["Location"]
        assert reply.status == 303 and url.startswith("http://127.0.0.1:")
        assert browser.ask("/studies/tiny/optuna", "POST", Origin=origin).headers["Location"] == url
        assert f"runs at {url}" in Page(browser.ask("/studies/tiny/").text).text
        studies = json.load(urllib.request.urlopen(f"{url}api/studies", timeout=30))["study_summaries"]
        (search,) = [study for study in studies if study["study_name"] == "search"]
        gone = urllib.request.Request(f"{url}api/studies/{search['study_id']}", method="DELETE")
        urllib.request.urlopen(gone, timeout=30).close()
        assert (storage / "tiny" / "journal.log").read_bytes() == before, "only the copy is changed"
    assert not answers(url)


@pytest.mark.slow
def test_tensorboard_starts(browser: Browser) -> None:
    reply = browser.ask("/studies/tiny/tensorboard", "POST", Origin=f"http://{browser.host}")
    assert reply.status == 303
    runs = urllib.request.urlopen(f"{reply.headers['Location']}data/runs", timeout=30)
    assert json.load(runs) == []


def test_a_tool_without_its_files_is_refused(browser: Browser, storage: Path) -> None:
    shutil.rmtree(storage / "stopped" / "trials")
    reply = browser.ask("/studies/stopped/tensorboard", "POST", Origin=f"http://{browser.host}")
    assert reply.status == 404 and "TensorBoard has nothing to show" in reply.text
    reply = browser.ask("/studies/stopped/bash", "POST", Origin=f"http://{browser.host}")
    assert reply.status == 404 and "choose from optuna, tensorboard" in reply.text


def test_a_port_in_use_is_refused(storage: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: cannot listen there .*; give another one"):
            with dashboard_server(storage, "runs", port=port):
                pass


def test_studies_in_a_bucket_are_shown_from_a_copy(storage: Path, bucket: Bucket) -> None:
    for name in ("tiny", "stopped"):
        ObjectStore(bucket.uri).below(name).push(storage / name)
    with store_copy(bucket.uri) as copy, dashboard_server(copy.folder, bucket.uri, note=copy.note) as address:
        browser = Browser(address)
        browser.log_in()
        text = browser.ask("/").text
        assert set(rows_of(text)) == {"tiny", "stopped"} and "A copy of the object store, made just now" in text
        page = Page(browser.ask("/studies/stopped/").text).text
        assert "output.log" in page and "train.log" not in page and "stay in the object store" in page
    assert not copy.folder.exists()


def test_a_search_in_a_bucket_runs_while_its_driver_writes(storage: Path, bucket: Bucket, tmp_path: Path) -> None:
    store = ObjectStore(bucket.uri).below("stopped")
    store.push(storage / "stopped")
    owner = {"pid": 7, "host": "elsewhere", "since": 0, "command": "tune.py", "seen": int(time.time())}
    copy = StoreCopy(bucket.uri, tmp_path / "copy")
    for content, state in ((owner, "running"), ({**owner, "seen": 1}, "interrupted"), (None, "paused")):
        store.write("owner.json", json.dumps(content).encode()) if content else store.remove("owner.json")
        copy.refresh()
        with dashboard_server(copy.folder, bucket.uri) as address:
            browser = Browser(address)
            browser.log_in()
            assert f"stopped {state}" in rows_of(browser.ask("/").text)["stopped"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--storage", "nowhere"], "--storage nowhere: not a directory; give the folder of the studies"),
        (["--port", "70000"], "argument --port: got '70000'; give an integer from 0 to 65535"),
    ],
)
def test_mistakes_end_with_exit_code_2(options: list[str], words: str) -> None:
    command = [sys.executable, str(ROOT / "experiments" / "dashboard.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_the_script_prints_an_address_and_ends_when_asked_to(storage: Path) -> None:
    command = [sys.executable, str(ROOT / "experiments" / "dashboard.py"), "--storage", str(storage)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        browser = Browser(line.split()[-1])
        assert browser.log_in().status == 303
        process.terminate()
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "the searches are not touched" in output and not errors


def test_a_killed_dashboard_leaves_no_tools_behind(storage: Path) -> None:
    command = [sys.executable, str(ROOT / "experiments" / "dashboard.py"), "--storage", str(storage)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        browser = Browser(process.stdout.readline().split()[-1])
        browser.log_in()
        url = browser.ask("/studies/tiny/optuna", "POST", Origin=f"http://{browser.host}").headers["Location"]
        urllib.request.urlopen(url, timeout=30).close()
        process.kill()
    deadline = time.monotonic() + 30
    while answers(url) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not answers(url)


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        urllib.request.urlopen(url, timeout=30).close()
    except OSError:
        return False
    return True
