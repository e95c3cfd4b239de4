"""Runs a real optuna-dashboard on a journal."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("optuna-dashboard")


@contextmanager
def dashboard(journal: Path) -> Iterator[str]:
    """The address of a dashboard that shows the journal, within a with block."""
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
    """The JSON at a URL; waits up to 20 s for the server to start."""
    for _ in range(100):
        try:
            return json.load(urllib.request.urlopen(url, timeout=10))
        except urllib.error.URLError:
            time.sleep(0.2)
    raise AssertionError(f"no answer from {url}")
