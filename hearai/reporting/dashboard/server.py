"""The web server of the dashboard: routes, checks of each request, and answers. It changes no study."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from hearai.errors import UserError
from hearai.reporting.dashboard import pages
from hearai.reporting.dashboard.access import Access, is_local_host, is_same_origin
from hearai.reporting.dashboard.logs import inside, read_tail
from hearai.reporting.dashboard.rows import StudyReader, StudyRow
from hearai.reporting.dashboard.tool_servers import HOST, ToolServers
from hearai.search.storage.layout import REPORT
from hearai.threads import background

HTML, TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"
OWN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'self' http://127.0.0.1:*; frame-ancestors 'none'"
)
"""Content security policy of our pages. A form that starts a tool is redirected to the tool's port."""
FILE_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'"
)
"""Of files from a study: others may have written them. Their scripts run, but as a site of their own that can read and
ask for nothing."""
NO_TOKEN = "Open the address with ?token=... that `python experiments/dashboard.py` has printed."


@dataclass(frozen=True)
class Answer:
    """What is sent for a request."""

    body: bytes
    kind: str = HTML
    status: HTTPStatus = HTTPStatus.OK
    policy: str = OWN_POLICY
    headers: tuple[tuple[str, str], ...] = ()


def _page(text: str, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(text.encode("utf-8", errors="replace"), status=status)


def _message(status: HTTPStatus, message: str) -> Answer:
    return _page(pages.message_page(status.phrase, message), status)


def _redirect(address: str, *headers: tuple[str, str]) -> Answer:
    return Answer(b"", status=HTTPStatus.SEE_OTHER, headers=(("Location", address), *headers))


@dataclass(frozen=True)
class Dashboard:
    """What the pages show."""

    reader: StudyReader
    tools: ToolServers
    storage: str
    """As the user gave it."""
    note: Callable[[], str] = str
    """A remark on the storage, or an empty text."""

    def list(self) -> Answer:
        """All studies."""
        return _page(pages.list_page(self.reader.rows(), self.storage, self.note()))

    def script(self) -> Answer:
        """The script of the pages."""
        return Answer(pages.SCRIPT, "text/javascript; charset=utf-8")

    def study(self, row: StudyRow) -> Answer:
        """One study."""
        return _page(pages.study_page(row, self.storage, self.tools.running(row.info.folder)))

    def report(self, row: StudyRow) -> Answer:
        """Its report.html as the search has written it."""
        path = inside(row.info.folder, REPORT)
        if path is None:
            return _message(HTTPStatus.NOT_FOUND, f"{row.name} has no {REPORT} yet.")
        return Answer(path.read_bytes(), policy=FILE_POLICY)

    def log(self, row: StudyRow, name: str) -> Answer:
        """The end of a log."""
        text = read_tail(row.info.folder, name)
        return Answer(text.encode("utf-8", errors="replace"), TEXT, policy=FILE_POLICY, headers=(("Refresh", "5"),))

    def tool(self, row: StudyRow, name: str) -> Answer:
        """Starts a tool and leads to it."""
        return _redirect(self.tools.address(name, row.info.folder))


READS = (
    (re.compile(r"/studies/([^/]+)/"), Dashboard.study),
    (re.compile(r"/studies/([^/]+)/report"), Dashboard.report),
    (re.compile(r"/studies/([^/]+)/logs/(.+)"), Dashboard.log),
)
"""(path, what answers): the first group is the name of a study. The list and the script are answered without one."""
CHANGES = ((re.compile(r"/studies/([^/]+)/([a-z]+)"), Dashboard.tool),)
"""Likewise, of requests that start something."""


class _Handler(BaseHTTPRequestHandler):
    """One request. `dashboard` and `access` are set by `dashboard_server`."""

    dashboard: Dashboard
    access: Access
    timeout = 30.0
    server_version, sys_version = "hearai", ""

    def do_GET(self) -> None:
        """Reads a page."""
        self._send(self._checked(self._read))

    def do_POST(self) -> None:
        """Starts a tool."""
        self._send(self._checked(self._start))

    def _checked(self, answer: Callable[[], Answer]) -> Answer:
        """The answer, once host and token are right."""
        if not is_local_host(self.headers.get("Host")):
            return _message(HTTPStatus.FORBIDDEN, "Use the address http://127.0.0.1:PORT or http://localhost:PORT.")
        token = parse_qs(urlsplit(self.path).query).get("token", [""])[-1]
        if self.command == "GET" and self.access.is_token(token):  # out of the address bar, into a cookie
            return _redirect(f"/{urlsplit(self.path).path.lstrip('/')}", ("Set-Cookie", self.access.set_cookie()))
        if not self.access.has_cookie(self.headers.get("Cookie")):
            return _message(HTTPStatus.UNAUTHORIZED, NO_TOKEN)
        try:
            return answer()
        except UserError as error:
            return _message(HTTPStatus.NOT_FOUND, str(error))
        except OSError as error:  # a file that was deleted while it was read
            return _message(HTTPStatus.NOT_FOUND, f"{error.filename}: cannot be read ({error.strerror})")

    def _read(self) -> Answer:
        path = urlsplit(self.path).path
        if path == "/":
            return self.dashboard.list()
        if path == "/refresh.js":
            return self.dashboard.script()
        return self._of_study(path, READS)

    def _start(self) -> Answer:
        if not is_same_origin(self.headers.get("Origin"), self.headers.get("Host")):
            return _message(HTTPStatus.FORBIDDEN, "Only a page of this dashboard starts tools.")
        return self._of_study(urlsplit(self.path).path, CHANGES)

    def _of_study(self, path: str, routes: tuple) -> Answer:
        for pattern, answer in routes:
            if match := pattern.fullmatch(path):
                name, *rest = map(unquote, match.groups())
                row = self.dashboard.reader.row(name)
                if row is None:
                    return _message(HTTPStatus.NOT_FOUND, "There is no study of this name.")
                return answer(self.dashboard, row, *rest)
        return _message(HTTPStatus.NOT_FOUND, "There is no such page.")

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = [
            ("Content-Type", answer.kind),
            ("Content-Length", str(len(answer.body))),
            ("Content-Security-Policy", answer.policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ]
        for name, value in (*headers, *answer.headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Requests are not logged: their addresses hold the token."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away is no event; other errors are shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def dashboard_server(folder: Path, storage: str, *, port: int = 0, note: Callable[[], str] = str) -> Iterator[str]:
    """Serves the dashboard on 127.0.0.1 for the duration of a with block; yields its address, with the token.

    Args:
        folder: of the studies.
        storage: how the pages call it.
        port: 0 = a free one.
        note: a remark on the storage, shown above the list, or an empty text.

    Raises:
        UserError: the port is in use.
    """
    access = Access()
    with ToolServers() as tools:
        handler = type(
            "Handler",
            (_Handler,),
            {"access": access, "dashboard": Dashboard(StudyReader(folder), tools, storage, note)},
        )
        try:
            server = _Server((HOST, port), handler)
        except OSError as error:
            raise UserError(f"--port {port}: cannot listen there ({error.strerror}); give another one") from None
        with server, background(lambda _: server.serve_forever(poll_interval=0.2)):
            try:
                yield f"http://{HOST}:{server.server_port}/?token={access.token}"
            finally:
                server.shutdown()
