"""Ray's dashboard: whether it is up, whether it is open to the network, and a watchdog for worker groups.

The resources of a stopped worker group are released by a process of Ray that queries the dashboard (ray#54305). Without
the dashboard, the next groups wait for resources forever.
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

CHECK_INTERVAL_S = 5.0
"""Between two checks of the watchdog."""
DASHBOARD_TIMEOUT_S = 30.0
"""How long the dashboard may not answer while worker groups run."""


def is_dashboard_up(url: str) -> bool:
    """Whether a dashboard answers, even if only to ask for a token."""
    try:
        urllib.request.urlopen(f"{url}/api/version", timeout=10).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def require_token(url: str) -> None:
    """Rejects a dashboard that other machines can reach without a token: anyone who reaches it can run code.

    Raises:
        UserError: the dashboard is open to the network.
    """
    host = urllib.parse.urlsplit(url).hostname or ""
    if host in ("localhost", "::1") or re.fullmatch(r"127(\.\d+){3}", host):
        return
    try:
        with urllib.request.urlopen(f"{url}/api/jobs/", timeout=10):
            pass
    except (OSError, HTTPException):  # 401 and 403 are the expected answers; one that cannot be reached is not open
        return
    raise UserError(
        f"{url}: this dashboard is open to the network and does not require a token, so anyone there can run code on "
        "the cluster; start its nodes with RAY_AUTH_MODE=token (see SECURITY.md), or with --dashboard-host 127.0.0.1"
    )


@contextmanager
def watch_dashboard(url: str, abort: Callable[[UserError], None]) -> Iterator[None]:
    """Calls `abort`, from a thread, if the dashboard stops answering within the with block."""
    with background(DashboardWatchdog(url, abort).run):
        yield


class DashboardWatchdog:
    """Checks the dashboard at intervals and aborts once it has not answered for `DASHBOARD_TIMEOUT_S`."""

    def __init__(self, url: str, abort: Callable[[UserError], None]):
        self._url, self._abort = url, abort
        self._last_answer = time.monotonic()

    def run(self, done: threading.Event) -> None:
        while not done.wait(CHECK_INTERVAL_S):
            if is_dashboard_up(self._url):
                self._last_answer = time.monotonic()
            elif time.monotonic() - self._last_answer > DASHBOARD_TIMEOUT_S:
                return self._abort(
                    UserError(
                        f"{self._url}: Ray's dashboard has not answered for {DASHBOARD_TIMEOUT_S:g} s; without it, "
                        "stopped worker groups do not release their CPUs and GPUs. Once it runs again, the same "
                        "command resumes from the last epochs"
                    )
                )
