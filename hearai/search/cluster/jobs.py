"""Searches as jobs of a Ray cluster: sent with their code through the Jobs API, found again by the name of their study.

The token goes into a request's header and nowhere else. Credentials of a store belong on the cluster's nodes: what a
job is sent with can be read in the dashboard.
"""

import asyncio
import logging
import os
import re
import shlex
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import requests

from hearai.cli import Print
from hearai.errors import UserError
from hearai.ray_auth import token_file
from hearai.search.cluster.code_bundle import packed
from hearai.search.cluster.dashboard import refuse_open
from hearai.search.storage.layout import JOB

T = TypeVar("T")
STUDY, STORAGE = "hearai_study", "hearai_storage"
"""Keys of a job's metadata."""
STOP_TIMEOUT_S = 90
"""How long a stopped search may take to put its trials away before it is killed."""
LOST_S = 120
"""How long a cluster that was there may be out of reach: a tunnel is opened again, a laptop wakes up."""
SILENT_S = 60
"""A log that says nothing for so long is asked for anew: a connection may be dead without knowing it."""
CHATTY = ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging")
"""Parts of Ray that tell of each package and connection."""
FORGETS_S = 3
"""Ray looks after a job each second; one that it looks for after its entry is gone comes back as failed."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")

log = logging.getLogger(__name__)


class Lost(UserError):
    """A cluster that has answered before does not."""


class Jobs:
    """The searches of one cluster.

    address: http(s)://HOST:PORT of its dashboard.

    Raises:
        UserError: nobody answers there, the token is missing or wrong, or the dashboard is open to the network.
    """

    def __init__(self, address: str):
        if not re.fullmatch(r"https?://[^/\s]+/?", address):
            raise UserError(f"--address {address}: give the dashboard's address, http://HOST:8265")
        self._address = address.rstrip("/")
        os.environ["RAY_API_SERVER_ADDRESS"] = self._address  # Ray lets the variable win over what it is asked for
        from ray.job_submission import JobSubmissionClient

        for chatty in CHATTY:
            logging.getLogger(f"ray.{chatty}").setLevel(logging.ERROR)
        check_dashboard(self._address)
        refuse_open(self._address)
        self._client = self._told(lambda: JobSubmissionClient(self._address))

    def submit(self, study: str, storage: str, arguments: Sequence[str]) -> str:
        """Starts `tune.py` with these arguments on the cluster's head; the job's name.

        Files of this machine that they name go along, see `packed`.

        Raises:
            UserError: the study is being searched there, or the cluster refuses.
        """
        running = [job for job in self.of(study) if job.status.value not in ENDED]
        if running:
            raise UserError(
                f"{study}: job {running[0].submission_id} is searching already; follow it with submit.py logs {study} "
                "--follow, end it with submit.py stop, or give another --name"
            )
        with packed(arguments) as (folder, there):
            command = ["python", "experiments/tune.py", *there, "--address", "auto"]
            return self._start(study, command, folder, {STUDY: study, STORAGE: storage})

    def parcel(self, study: str, folder: str) -> str:
        """A folder of the cluster's head as text, see `hearai.search.cluster.results_bundle`; a job's log carries it.

        Raises:
            UserError: the job failed; its last line says why.
        """
        with packed([]) as (code, _):
            job = self._start(
                f"fetch-{study}", ["python", "-m", "hearai.search.cluster.results_bundle", folder], code, {}
            )
        self.wait(job)
        text, worked = self.log(job), self._status(job) == "SUCCEEDED"
        time.sleep(FORGETS_S)
        self._told(lambda: self._client.delete_job(job))
        if not worked:
            raise UserError(f"on the cluster: {(text.strip().splitlines() or ['the job failed'])[-1]}")
        return text

    def of(self, study: str | None = None) -> list[Any]:
        """Ray's details of the jobs of a study (of all, for None), the latest first."""
        jobs = self._told(self._client.list_jobs)
        ours = [job for job in jobs if job.submission_id and (job.metadata or {}).get(STUDY)]
        named = [job for job in ours if study is None or job.metadata[STUDY] == study]
        return sorted(named, key=lambda job: -(job.start_time or 0))

    def latest(self, study: str) -> Any:
        """Ray's details of a study's last job.

        Raises:
            UserError: there is none.
        """
        if jobs := self.of(study):
            return jobs[0]
        known = sorted({job.metadata[STUDY] for job in self.of()})
        raise UserError(f"{study}: no job of it on {self._address}; there are: {', '.join(known) or 'none'}")

    def log(self, job: str) -> str:
        """All that a job has printed so far."""
        return self._told(lambda: self._client.get_job_logs(job))

    def follow(self, job: str, print_line: Print) -> int:
        """Says what a job prints until it ends, each letter once, however often the connection breaks; its exit code.

        Raises:
            UserError: the cluster is out of reach for two minutes.
        """
        import aiohttp

        shown = 0

        async def tail() -> None:
            nonlocal shown
            read, blocks = 0, self._client.tail_job_logs(job)
            while block := await asyncio.wait_for(anext(blocks, ""), SILENT_S):
                new = block[max(0, shown - read) :]  # each connection begins at the log's beginning
                read += len(block)
                shown = max(shown, read)
                if new:
                    print_line(new)

        while self._insist(lambda: self._status(job)) not in ENDED:
            try:
                asyncio.run(tail())
            except (RuntimeError, OSError, aiohttp.ClientError):
                pass  # the connection broke, or the job has not begun: the next look at its status tells
            time.sleep(0.5)
        if rest := self._insist(lambda: self.log(job))[shown:]:
            print_line(rest)
        code, why = self._insist(lambda: self.outcome(job))
        if why:
            print_line(f"{why}\n")
        return code

    def wait(self, job: str, seconds: float = 600) -> None:
        """Until it has ended.

        Raises:
            UserError: it has not after so long.
        """
        until = time.monotonic() + seconds
        while self._status(job) not in ENDED:
            if time.monotonic() > until:
                raise UserError(f"job {job} has not ended after {seconds:g} s")
            time.sleep(0.5)

    def outcome(self, job: str) -> tuple[int, str]:
        """Of an ended job: (its driver's exit code, what its log cannot say).

        130 if it was stopped; 128 + a signal that killed it; 1 if it never began.
        """
        info = self._told(lambda: self._client.get_job_info(job))
        code = info.driver_exit_code
        if info.status.value == "STOPPED":
            return 130, ""
        if code is None:
            return int(info.status.value != "SUCCEEDED"), f"job {job}: {_words(info.message or 'its end is unknown')}"
        if code < 0 or code >= 137:  # Ray says -9 of the shell, the shell 128 + 9 of what it has started
            signal = -code if code < 0 else code - 128
            return 128 + signal, f"job {job}: killed by signal {signal}; the same submit.py tune command continues it"
        return code, ""

    def stop(self, job: str) -> bool:
        """Ends a job as Ctrl-C does; trials that run are continued by the next one. False if it had ended before.

        Raises:
            UserError: it does not end.
        """
        if self._status(job) in ENDED:
            return False
        self._told(lambda: self._client.stop_job(job))
        self.wait(job, STOP_TIMEOUT_S + 30)
        return self._status(job) == "STOPPED"

    def _status(self, job: str) -> str:
        return self._told(lambda: self._client.get_job_status(job)).value

    def _start(self, name: str, command: Sequence[str], folder: Path, metadata: dict[str, str]) -> str:
        job = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
        variables = {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_TIMEOUT_S), JOB: job}
        return self._told(
            lambda: self._client.submit_job(
                entrypoint=shlex.join(command),
                submission_id=job,
                runtime_env={"working_dir": str(folder), "env_vars": variables},
                metadata=metadata,
            )
        )

    def _insist(self, ask: Callable[[], T]) -> T:
        """What the cluster answers, if it does within two minutes."""
        until, is_told = time.monotonic() + LOST_S, False
        while True:
            try:
                return ask()
            except Lost as lost:
                if time.monotonic() > until:
                    raise UserError([*lost.problems, "submit.py logs STUDY --follow goes on when it answers"]) from None
                if not is_told:
                    log.warning("%s; trying for %g s", lost, LOST_S)
                is_told = True
            time.sleep(2)

    def _told(self, ask: Callable[[], T]) -> T:
        """What the cluster answers.

        Raises:
            Lost: it does not.
            UserError: it refuses.
        """
        from ray.exceptions import AuthenticationError

        try:
            return ask()
        except AuthenticationError:
            raise UserError(f"{self._address}: {_why_not()}") from None
        except (ConnectionError, requests.ConnectionError, requests.Timeout):
            raise Lost(f"{self._address}: no connection; the search there does not need one") from None
        except (requests.RequestException, RuntimeError, ValueError) as error:
            raise UserError(f"{self._address}: {_words(str(error) or type(error).__name__)}") from None


def check_dashboard(address: str) -> None:
    """Whether a Ray dashboard answers at http(s)://HOST:PORT; the question holds no token.

    Raises:
        UserError: nobody does, or something else.
    """
    try:
        answer = requests.get(f"{address}/api/version", timeout=10)
    except (requests.RequestException, ValueError) as error:
        why = "no answer in 10 s" if isinstance(error, requests.Timeout) else "no connection"
        why = "no TLS there that can be trusted" if isinstance(error, requests.exceptions.SSLError) else why
        raise UserError(
            f"{address}: {why}; give --address the dashboard's, http://HOST:8265, and see that its tunnel is open"
        ) from None
    asks = answer.status_code in (401, 403) and "authentication token" in answer.text.lower()
    if not asks and not (answer.ok and "ray_version" in answer.text):
        raise UserError(f"{address}: something answers, but it is not the dashboard of a Ray cluster")


def _words(text: str) -> str:
    """The line of Ray's answer that says what is wrong: the last one of a traceback, else the first."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    line = lines[-1] if "Traceback (most recent call last)" in text else lines[0]
    words = re.sub(r"^Request failed with status code \d+: ", "", line.strip())[:300].rstrip(".")
    if re.fullmatch(r"Job \S+ does not exist", words):
        return f"{words}: this cluster was started after it; the same submit.py tune command continues its search"
    return words


def _why_not() -> str:
    place = str(token_file())
    if "RAY_AUTH_TOKEN" in os.environ:
        place = f"{place} (and unset RAY_AUTH_TOKEN, which goes first)"
    elif not token_file().is_file():
        return f"asks for a token, and there is none here; copy the cluster's into {place} (chmod 600)"
    return f"does not accept this token; copy the cluster's into {place} (chmod 600): it may have been changed"
