"""Ray's dashboard: whether it answers, whether it is open to anybody, and its watch while groups of workers run.

What a stopped group held is given back by a process of Ray that asks the dashboard (ray#54305): without it the next
groups wait for ever.
"""

import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException

from hearai.errors import UserError
from hearai.threads import background

LOOK_S = 5.0
"""Between two looks of the watch."""
SILENT_S = 30.0
"""How long it may not answer."""


def answers(url: str) -> bool:
    """Whether a dashboard runs there, though it may ask for a token."""
    try:
        urllib.request.urlopen(f"{url}/api/version", timeout=10).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def refuse_open(url: str) -> None:
    """Refuses a dashboard that others can reach and that asks nobody for a token: whoever reaches it can run code.

    Raises:
        UserError: it is so.
    """
    host = urllib.parse.urlsplit(url).hostname or ""
    if host in ("localhost", "::1") or re.fullmatch(r"127(\.\d+){3}", host):
        return
    try:
        with urllib.request.urlopen(f"{url}/api/jobs/", timeout=10):
            pass
    except (OSError, HTTPException):  # 401 and 403 are what is wanted; what cannot be reached is open to nobody here
        return
    raise UserError(
        f"{url}: this dashboard is open to the network and asks for no token, so anybody there can run code on the "
        "cluster; start its nodes with RAY_AUTH_MODE=token (see SECURITY.md), or with --dashboard-host 127.0.0.1"
    )


@contextmanager
def watch_dashboard(url: str, abort: Callable[[UserError], None]) -> Iterator[None]:
    """Calls `abort`, from a thread, if the dashboard there falls silent while the context lasts."""
    heard = time.monotonic()

    def watch(done: threading.Event) -> None:
        nonlocal heard
        while not done.wait(LOOK_S):
            if answers(url):
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_S:
                return abort(
                    UserError(
                        f"{url}: Ray's dashboard has not answered for {SILENT_S:g} s, without which stopped groups of "
                        "workers keep their CPUs and GPUs; when it runs again, the same command goes on from the last "
                        "epochs"
                    )
                )

    with background(watch):
        yield
