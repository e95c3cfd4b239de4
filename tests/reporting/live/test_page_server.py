"""`report.py --serve`: only the page, only with the token, and in a real browser it follows the search."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from hearai.errors import UserError
from hearai.reporting.live.page_server import Server, page_server
from hearai.reporting.study_report.page import write_results
from tests.helpers import ROOT
from tests.helpers.browser import needs_chromium, open_browser
from tests.helpers.study_builder import LR


@pytest.fixture
def server(finished: Path) -> Iterator[Server]:
    """Serves the finished study."""
    write_results(finished)
    with Server(finished, 0) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(url: str) -> tuple[int, bytes]:
    try:
        with urlopen(url) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


@pytest.mark.heavy
def test_the_page_and_its_age_are_served(server: Server) -> None:
    assert get(f"{server.url}report.html") == (200, (server.folder / "report.html").read_bytes())
    assert json.loads(get(f"{server.url}state")[1])["written"] > 0
    status, frame = get(server.url)
    assert (
        status == 200 and b'<iframe title="Search report" src="report.html">' in frame and b"SCRIPT_HASH" not in frame
    )


@pytest.mark.heavy
def test_nothing_else_is_served(server: Server) -> None:
    host = server.url.removesuffix(f"{server.token}/")
    wrong = [host, f"{host}report.html", f"{host}{'x' * 22}/report.html", f"{host}{server.token[:-1]}/report.html"]
    wrong += [f"{server.url}{name}" for name in ("journal.log", "trials/", "../study.yaml", "%2e%2e/study.yaml", ".")]
    assert {url: get(url) for url in wrong} == {url: (404, b"") for url in wrong}
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.heavy
def test_a_page_that_is_missing_for_a_moment_is_not_an_error(server: Server) -> None:
    (server.folder / "report.html").unlink()
    assert get(f"{server.url}report.html")[0] == 404 and get(f"{server.url}state")[0] == 404


@pytest.mark.heavy
def test_a_port_in_use_is_a_message(server: Server) -> None:
    with pytest.raises(
        UserError, match=rf"--port {server.server_port}: cannot listen there .*; give another one, or 0"
    ):
        Server(server.folder, server.server_port)
    with pytest.raises(UserError, match="--port 99999: cannot listen there"):
        Server(server.folder, 99999)


@pytest.mark.heavy
@needs_chromium
def test_the_browser_follows_the_search(build_study: Callable, tmp_path: Path) -> None:
    with build_study() as builder:
        builder.run(builder.study.base_params(), [0.2, 0.4], "COMPLETE")
        write_results(builder.folder)
        with page_server(builder.folder, interval=0.2) as server, open_browser(tmp_path / "profile") as browser:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser.open(server.url)
            page = "document.querySelector('iframe').contentDocument"
            assert "1 trial" in browser.run(f"{page}.body.innerText")
            browser.run(f"{page}.getElementById('by-cost').checked = true")
            browser.run(f"{page}.querySelector('tr[data-t=\"0\"] td').click()")
            builder.run({LR: 0.02}, [0.3], "RUNNING")
            until = time.monotonic() + 120
            while "2 trials" not in browser.run(f"{page}.body.innerText"):
                assert time.monotonic() < until
                time.sleep(0.2)
            assert browser.run(f"{page}.getElementById('by-cost').checked")
            assert browser.run(f"{page}.querySelectorAll('tr.chosen').length") == 1
            assert "live: written" in browser.run("document.body.innerText")
            assert not browser.complaints
            server.shutdown()


@pytest.mark.heavy
def test_the_script_serves_until_ctrl_c(finished: Path) -> None:
    command = [sys.executable, "experiments/report.py", str(finished), "--serve"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as script:
        url = next(line.strip() for line in script.stdout if line.startswith("http://127.0.0.1:"))
        try:
            assert get(f"{url}report.html")[0] == 200
            script.send_signal(signal.SIGINT)
            assert script.wait(60) == 0 and "ended" in script.stdout.read()
        finally:
            script.kill()  # else a test that fails would never end


def test_a_port_without_serve_is_refused(call: Callable, tmp_path: Path) -> None:
    code, _, err = call("report", tmp_path, "--port", "8000")
    assert code == 2 and "--port: requires --serve" in err
