"""cluster/with_spot_notice.py with a server that imitates the clouds' metadata servers."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.helpers import ROOT

SCRIPT = ROOT / "cluster" / "with_spot_notice.py"
# Prints the signal it gets, and exits with its own code.
COMMAND = [
    sys.executable,
    "-uc",
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (print('drained'), sys.exit(7)))\n"
    "print('ready')\n"
    "time.sleep(float(sys.argv[1])); sys.exit(3)",
]


class Metadata(BaseHTTPRequestHandler):
    """AWS requires its session token, Google its header; each refuses requests without it."""

    is_preempted = threading.Event()

    def do_PUT(self) -> None:
        self.reply(200, "session")

    def do_GET(self) -> None:
        is_preempted = self.is_preempted.is_set()
        if self.path == "/latest/meta-data/spot/instance-action":
            if self.headers["X-aws-ec2-metadata-token"] != "session":
                self.reply(401, "")
            else:
                notice = '{"action": "terminate", "time": "2026-01-01T00:00:00Z"}'
                self.reply(200 if is_preempted else 404, notice if is_preempted else "")
        elif self.path == "/computeMetadata/v1/instance/preempted" and self.headers["Metadata-Flavor"] == "Google":
            self.reply(200, "TRUE" if is_preempted else "FALSE")
        else:
            self.reply(403, "")

    def reply(self, code: int, body: str) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[str]:
    """Its address; `Metadata.is_preempted` decides what it answers."""
    Metadata.is_preempted.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def start(cloud: str, base: str, seconds: int) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), cloud, *COMMAND, str(seconds)]
    return subprocess.Popen(
        command,
        env={**os.environ, "HEARAI_METADATA": base, "HEARAI_METADATA_INTERVAL": "0.2"},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.heavy
@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_notice_drains_the_node(cloud: str, metadata: str) -> None:
    with start(cloud, metadata, 60) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        Metadata.is_preempted.set()
        assert process.wait(20) == 7
        assert process.stdout.read() == "drained\n"


@pytest.mark.heavy
@pytest.mark.parametrize("base", ["", "http://127.0.0.1:9"])
def test_without_a_notice_the_command_runs_to_its_end(base: str, metadata: str) -> None:
    with start("aws", base or metadata, 1) as process:
        out, _ = process.communicate(timeout=20)
        assert (process.returncode, out) == (3, "ready\n")


@pytest.mark.heavy
def test_signals_are_forwarded(metadata: str) -> None:
    with start("gcp", metadata, 60) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(20) == 7
