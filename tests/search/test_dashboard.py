"""`optuna-dashboard runs/STUDY/journal.log`: a search that is under way, in the browser."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.samplers import RandomSampler

from hearai.search.journal import SEARCH, Ledger, open_journal

COMMAND = Path(sys.executable).with_name("optuna-dashboard")


@contextmanager
def dashboard(journal: Path) -> Iterator[str]:
    """The address of a dashboard over the journal, for as long as the context lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [COMMAND, journal, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def fetch(url: str) -> Any:
    """Its JSON; the server may still be starting."""
    for _ in range(100):
        try:
            return json.load(urllib.request.urlopen(url, timeout=10))
        except urllib.error.URLError:
            time.sleep(0.2)
    raise AssertionError(f"nobody answered at {url}")


def test_the_dashboard_shows_a_search_that_is_under_way(tmp_path: Path) -> None:
    with open_journal(tmp_path) as storage:
        ledger = Ledger(storage, SEARCH, RandomSampler(0), unique=True)
        number = ledger.propose(lambda trial: {"x": trial.suggest_float("x", 0, 1)}).number
        ledger.observe(number, 1, 0.25)
        with dashboard(tmp_path / "journal.log") as address:
            studies = fetch(f"{address}/api/studies")["study_summaries"]
            assert [study["study_name"] for study in studies] == [SEARCH]
            ledger.observe(number, 2, 0.5)
            trials = fetch(f"{address}/api/studies/{studies[0]['study_id']}?after=0")["trials"]
    assert [trial["state"] for trial in trials] == ["Running"]
    assert [(value["step"], value["value"]) for value in trials[0]["intermediate_values"]] == [(1, 0.25), (2, 0.5)]
    assert re.fullmatch(r"0\.\d+", trials[0]["params"][0]["param_external_value"])
