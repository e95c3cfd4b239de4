"""Requests to a real dashboard server, as a browser sends them."""

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Reply:
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Browser:
    """Sends requests to a dashboard, with its cookie once it has logged in."""

    address: str
    cookie: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    def ask(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """Headers are given as `Name="value"`; an underscore stands for a hyphen."""
        connection = http.client.HTTPConnection(self.host, timeout=120)
        cookie = {"Cookie": self.cookie} if self.cookie else {}
        connection.request(method, path, headers=cookie | {name.replace("_", "-"): v for name, v in headers.items()})
        answer = connection.getresponse()
        reply = Reply(answer.status, dict(answer.getheaders()), answer.read().decode())
        connection.close()
        return reply

    def log_in(self) -> Reply:
        parts = urlsplit(self.address)
        reply = self.ask(f"{parts.path}?{parts.query}")
        self.cookie = reply.headers["Set-Cookie"].partition(";")[0]
        return reply
