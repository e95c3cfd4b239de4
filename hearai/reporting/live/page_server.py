"""Serves the page of one study on this machine, and loads it again in the browser when it has changed.

The server listens on the loopback interface, and its addresses begin with a random token: other users of the machine,
and other pages in the browser, cannot guess them. It serves the page and nothing else of the folder.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hearai.errors import UserError
from hearai.reporting.html_pages import script_hash
from hearai.reporting.live.page_writer import page_is_written
from hearai.search.storage.layout import REPORT

HOST = "127.0.0.1"
INTERVAL = 10.0
"""Seconds from one page to the next while the search advances."""
REST = 2
"""See `page_is_written`; here someone watches."""
FRAME = Path(__file__).with_name("frame.html")


class Server(ThreadingHTTPServer):
    """The server of one study's page."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int):
        """Raises UserError if the port is in use. port: 0 = any."""
        self.folder, self.token = folder, secrets.token_urlsafe(16)
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            problem = getattr(error, "strerror", None) or error
            raise UserError(f"--port {port}: cannot listen there ({problem}); give another one, or 0 for any") from None

    @property
    def url(self) -> str:
        """The address for the browser."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"


@contextmanager
def page_server(folder: Path, port: int = 0, interval: float = INTERVAL) -> Iterator[Server]:
    """A server for the page of a study; within the with block the page is written again while its search advances.

    `serve_forever` answers requests until it is interrupted.

    Raises:
        UserError: the port is in use.
    """
    with Server(folder, port) as server, page_is_written(folder, interval, REST):
        yield server


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        prefix, _, name = self.path.removeprefix("/").partition("?")[0].partition("/")
        answer = ANSWERS.get(name) if secrets.compare_digest(prefix.encode(), self.server.token.encode()) else None
        try:
            kind, body = answer(self.server.folder) if answer else ("", b"")
        except OSError:  # between two versions of a folder that is replaced
            answer = None
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if answer else "text/plain")
        self.send_header("Content-Length", str(len(body) if answer else 0))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if answer:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the page asks for its state every few seconds."""


def _frame(folder: Path) -> tuple[str, bytes]:
    """The page around the report: it asks for the state, and replaces the report where it is older."""
    text = FRAME.read_text(encoding="utf-8")
    script = text.split("<script>")[1].split("</script>")[0]
    return "text/html", text.replace("SCRIPT_HASH", script_hash(script)).encode()


def _report(folder: Path) -> tuple[str, bytes]:
    return "text/html", (folder / REPORT).read_bytes()


def _state(folder: Path) -> tuple[str, bytes]:
    return "application/json", json.dumps({"written": (folder / REPORT).stat().st_mtime_ns // 10**6}).encode()


ANSWERS: dict[str, Callable[[Path], tuple[str, bytes]]] = {"": _frame, "report.html": _report, "state": _state}
"""{path below the token: makes (content type, body)}; there is nothing else."""
