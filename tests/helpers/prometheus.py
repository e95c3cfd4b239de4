"""Runs a real Prometheus (Debian's package `prometheus`)."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

COMMAND = shutil.which("prometheus")
needs_prometheus = pytest.mark.skipif(COMMAND is None, reason="no prometheus here: apt-get install prometheus")


@contextmanager
def prometheus(folder: Path, discovery: Path | None = None) -> Iterator[str]:
    """Its address, within a with block; it scrapes the targets in Ray's discovery file every second."""
    folder.mkdir()
    found = {"files": [str(discovery)], "refresh_interval": "1s"}
    jobs = [] if discovery is None else [{"job_name": "ray", "file_sd_configs": [found]}]
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = {"config.file": folder / "prometheus.yml", "storage.tsdb.path": folder / "data"}
    options |= {"web.listen-address": address, "log.level": "warn"}
    with (folder / "log").open("w") as file:
        process = subprocess.Popen(
            [COMMAND, *(f"--{name}={value}" for name, value in options.items())], stdout=file, stderr=file
        )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def query(address: str, expression: str) -> list[dict[str, Any]]:
    """[{metric: {label: value}, value: [time, text]}] of an instant query.

    Raises:
        AssertionError: Prometheus rejects the expression, or does not answer in 20 s.
    """
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    for _ in range(100):
        try:
            return json.load(urllib.request.urlopen(url, timeout=10))["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code != 503:  # still starting
                raise AssertionError(f"{expression}: {error.read().decode()}") from None
        except urllib.error.URLError:
            pass  # not yet listening
        time.sleep(0.2)
    raise AssertionError(f"no answer from {url}")
