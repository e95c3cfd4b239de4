"""Fixtures: a storage with studies in several states, and a real server for it."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hearai.reporting.dashboard.server import dashboard_server
from tests.helpers.dashboard_browser import Browser
from tests.helpers.study_builder import SHARP

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def storage(finished: Path, build_study: Callable) -> Path:
    """`tiny` is finished, `stopped` has a running and a paused trial, `killed` left its owner, and one name is HTML."""
    runs = finished.parent
    for name in ("stopped", "killed", HOSTILE):
        with build_study(runs / name) as search:
            search.run(search.study.base_params(), [0.2, 0.4], "COMPLETE")
            search.run(SHARP, [0.3], "RUNNING")
            search.search.set_user_attrs(
                search.run({**SHARP, "transformer.dropout_rate": 0.5}, [0.3], "RUNNING"), {"paused": 1}
            )
    owner = {"pid": 1, "host": socket.gethostname(), "since": 0, "command": "experiments/tune.py"}
    (runs / "killed" / "owner.json").write_text(json.dumps(owner))
    (runs / "stopped" / "output.log").write_text("first line\n\x1b[2Jsecond <b>line</b>\n")
    (runs / "stopped" / "trials" / "0000" / "train.log").write_text("epoch 1\n")
    (runs / "stopped" / "command.txt").write_text(
        "2026-01-02 03:04:05  python /x/experiments/tune.py --space hamnosys --trials 40 --name 'a; b'\n  hearai 0.1\n"
    )
    return runs


@pytest.fixture
def browser(storage: Path) -> Iterator[Browser]:
    """A browser that has logged in to the dashboard of `storage`."""
    with dashboard_server(storage, str(storage)) as address:
        found = Browser(address)
        found.log_in()
        yield found
