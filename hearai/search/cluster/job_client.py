"""A client of Ray's Jobs API whose errors say what is wrong and what to do."""

import logging
import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import requests

from hearai.cli.ray_auth import protect_token, token_file
from hearai.errors import UserError
from hearai.search.cluster.addresses import bypass_proxy, needs_no_proxy
from hearai.search.cluster.dashboard import require_token

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

T = TypeVar("T")
OUTAGE_S = 120
"""How long a cluster that has answered before may be unreachable: a tunnel is reopened, a laptop wakes up."""
RETRY_PAUSE_S = 2
VERBOSE_LOGGERS = ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging")
"""Loggers of Ray that report every package and connection."""

log = logging.getLogger(__name__)


class ClusterUnreachable(UserError):
    """No connection to the cluster."""


class JobClient:
    """Calls Ray's job client.

    address: http(s)://HOST:PORT of the dashboard.

    Raises:
        UserError: no dashboard answers there, the token is missing or wrong, or the dashboard is open to the network.
    """

    def __init__(self, address: str):
        if not re.fullmatch(r"https?://[^/\s]+/?", address):
            raise UserError(f"--address {address}: give the dashboard's address, http://HOST:8265")
        self.address = address.rstrip("/")
        os.environ["RAY_API_SERVER_ADDRESS"] = self.address  # takes precedence over the address that Ray is given
        if needs_no_proxy(host := urllib.parse.urlsplit(self.address).hostname or ""):
            bypass_proxy([host])
        protect_token()
        check_dashboard(self.address)
        require_token(self.address)
        from ray.job_submission import JobSubmissionClient

        for name in VERBOSE_LOGGERS:
            logging.getLogger(f"ray.{name}").setLevel(logging.ERROR)
        with _readable_errors(self.address):
            self._client = JobSubmissionClient(self.address)

    def call(self, request: Callable[["JobSubmissionClient"], T]) -> T:
        """The answer to a request.

        Raises:
            ClusterUnreachable: there is none.
            UserError: the cluster refuses.
        """
        with _readable_errors(self.address):
            return request(self._client)


def retry_through_outage(request: Callable[[], T]) -> T:
    """The answer to a request, repeated while the cluster is unreachable.

    Raises:
        UserError: it has been unreachable for `OUTAGE_S`.
    """
    deadline, warned = time.monotonic() + OUTAGE_S, False
    while True:
        try:
            return request()
        except ClusterUnreachable as error:
            if time.monotonic() > deadline:
                raise UserError(
                    [*error.problems, "continue with submit.py logs STUDY --follow once it answers"]
                ) from None
            if not warned:
                log.warning("%s; retrying for %g s", error, OUTAGE_S)
            warned = True
        time.sleep(RETRY_PAUSE_S)


def check_dashboard(address: str) -> None:
    """Checks that a Ray dashboard answers at http(s)://HOST:PORT; the token is not sent.

    Raises:
        UserError: nothing answers, or something else does.
    """
    try:
        answer = requests.get(f"{address}/api/version", timeout=10)
    except (requests.RequestException, ValueError) as error:
        reason = "no answer in 10 s" if isinstance(error, requests.Timeout) else "no connection"
        reason = "no trusted TLS certificate" if isinstance(error, requests.exceptions.SSLError) else reason
        raise UserError(
            f"{address}: {reason}; give the dashboard's address, http://HOST:8265, and check that its tunnel is open"
        ) from None
    requires_token = answer.status_code in (401, 403) and "authentication token" in answer.text.lower()
    if not requires_token and not (answer.ok and "ray_version" in answer.text):
        raise UserError(f"{address}: something answers, but it is not the dashboard of a Ray cluster")


@contextmanager
def _readable_errors(address: str) -> Iterator[None]:
    """Raises UserError in place of the errors of Ray's client."""
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError:
        raise UserError(f"{address}: {_token_problem()}") from None
    except (ConnectionError, requests.ConnectionError, requests.Timeout):
        raise ClusterUnreachable(f"{address}: no connection; a running search does not need one") from None
    except (requests.RequestException, RuntimeError, ValueError) as error:
        raise UserError(f"{address}: {relevant_line(str(error) or type(error).__name__)}") from None


def relevant_line(text: str) -> str:
    """The line of Ray's answer that says what is wrong: the last one of a traceback, else the first."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    line = lines[-1] if "Traceback (most recent call last)" in text else lines[0]
    line = re.sub(r"^Request failed with status code \d+: ", "", line.strip())[:300].rstrip(".")
    if re.fullmatch(r"Job \S+ does not exist", line):
        return f"{line}: the cluster has been restarted since; the same submit.py tune command continues its search"
    return line


def _token_problem() -> str:
    path = str(token_file())
    if "RAY_AUTH_TOKEN" in os.environ:
        path = f"{path} (and unset RAY_AUTH_TOKEN, which takes precedence)"
    elif not token_file().is_file():
        return f"requires a token, and there is none here; copy the cluster's token to {path} (chmod 600)"
    return f"does not accept this token, which may have been replaced; copy the cluster's token to {path} (chmod 600)"
