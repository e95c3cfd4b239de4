"""Ray's dashboard: whether it is up, whether it is open to the network, and a watchdog for worker groups.

The resources of a stopped worker group are released by a process of Ray that queries the dashboard (ray#54305). Without
the dashboard, the next groups wait for resources forever.
"""

import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException

from hearai.errors import UserError
from hearai.search.cluster.addresses import ANSWER_TIMEOUT_S, is_loopback
from hearai.threads import background

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses without a proxy, whatever the environment says."""
JOB_NAME_KEY = "job_name"
"""Of a job's metadata: what the dashboard shows in the column Name."""
CHECK_INTERVAL_S = 5.0
"""Between two checks of the watchdog."""
DASHBOARD_TIMEOUT_S = 30.0
"""How long the dashboard may not answer while worker groups run."""


def is_dashboard_up(url: str) -> bool:
    """Whether a dashboard answers, even if only to ask for a token. No proxy is asked for it."""
    return _status(f"{url}/api/version", DIRECT) is not None


def require_token(url: str) -> None:
    """Rejects a dashboard that other machines can reach without a token: anyone who reaches it can run code.

    Raises:
        UserError: the dashboard is open to the network, or does not answer, so that this is unknown.
    """
    if is_loopback(urllib.parse.urlsplit(url).hostname or ""):
        return
    statuses = [_status(f"{url}/api/jobs/", DIRECT)]
    if statuses == [None]:  # perhaps it is reached through a proxy only
        statuses.append(_status(f"{url}/api/jobs/", urllib.request.build_opener()))
    status = statuses[-1]
    if status in (401, 403):
        return
    if status is None or status >= 300:
        got = "no answer" if status is None else f"status {status}"
        raise UserError(
            f"{url}: cannot check that this dashboard requires a token ({got}); anyone who reaches one without can run "
            "code on the cluster. Make it reachable from here, or start it with --dashboard-host 127.0.0.1"
        )
    raise UserError(
        f"{url}: this dashboard is open to the network and does not require a token, so anyone there can run code on "
        "the cluster; start its nodes with RAY_AUTH_MODE=token (see SECURITY.md), or with --dashboard-host 127.0.0.1"
    )


def _status(url: str, opener: urllib.request.OpenerDirector) -> int | None:
    """The HTTP status of an address; None = no answer, or none of a web server."""
    try:
        with opener.open(url, timeout=ANSWER_TIMEOUT_S) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, HTTPException, ValueError):
        return None


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
