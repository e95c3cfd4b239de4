"""Who may read the page: the holder of its token, through an address of this machine."""

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Names in the address bar of a browser on this machine, or behind a tunnel to it."""
TOKEN_BYTES = 24


class Access:
    """The token of one server, and the checks of a request."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.cookie = f"hearai_{secrets.token_hex(4)}"
        """Its name: browsers share cookies between the ports of a machine, so that servers would overwrite each
        other's."""

    def is_token(self, text: str) -> bool:
        """Whether a text is the token; takes equally long for all texts of its length."""
        return hmac.compare_digest(text.encode(), self.token.encode())

    def has_cookie(self, header: str | None) -> bool:
        """Whether a Cookie header has the token."""
        try:
            cookie = SimpleCookie(header or "").get(self.cookie)
        except CookieError:
            return False
        return cookie is not None and self.is_token(cookie.value)

    def set_cookie(self) -> str:
        """The Set-Cookie header: no script can read it, and no page of another site makes the browser send it."""
        return f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"


def is_local_host(header: str | None) -> bool:
    """Whether a Host header names this machine.

    A page of another site can make its own name resolve to 127.0.0.1 (DNS rebinding) and then read what a server here
    answers; its requests have its own name in this header.
    """
    try:
        return urlsplit(f"//{header or ''}").hostname in LOOPBACK
    except ValueError:
        return False


def is_same_origin(origin: str | None, host: str | None) -> bool:
    """Whether a request that changes something comes from a page of this server: browsers say so in Origin."""
    return origin is not None and host is not None and origin == f"http://{host}"
