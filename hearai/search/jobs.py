"""Searches as jobs of a Ray cluster: sent with their code through the Jobs API, found again by the name of their study.

The token goes into a request's header and nowhere else. Credentials of a store belong on the cluster's nodes: what a
job is sent with can be read in the dashboard.
"""

import asyncio
import logging
import os
import shlex
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from hearai.errors import UserError
from hearai.search.cluster import refuse_open
from hearai.search.live import Say

CODE = ("hearai", "experiments", "search_spaces")
STUDY, STORAGE = "hearai_study", "hearai_storage"
"""Keys of a job's metadata."""
PATIENCE_S = 90
"""How long a stopped search may take to put its trials away before it is killed."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


class Jobs:
    """The searches of one cluster.

    address: http(s)://HOST:PORT of its dashboard.

    Raises:
        UserError: nobody answers there, the token is missing or wrong, or the dashboard is open to the network.
    """

    def __init__(self, address: str):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        if not address.startswith(("http://", "https://")):
            raise UserError(f"--address {address}: give the dashboard's address, http://HOST:8265")
        from ray.job_submission import JobSubmissionClient

        logging.getLogger("ray").setLevel(logging.WARNING)  # it tells of each package and connection
        refuse_open(address.rstrip("/"))
        self._address = address.rstrip("/")
        self._client = self._told(lambda: JobSubmissionClient(self._address))

    def submit(self, study: str, storage: str, arguments: Sequence[str], files: Sequence[str]) -> str:
        """Starts `tune.py` with these arguments on the cluster's head; the job's name.

        files: arguments that name files of this machine; they go along.

        Raises:
            UserError: the study is being searched there, or the cluster refuses.
        """
        running = [job for job in self.of(study) if job.status.value not in ENDED]
        if running:
            raise UserError(
                f"{study}: job {running[0].submission_id} is searching already; follow it with submit.py logs {study}, "
                "end it with submit.py stop, or give another --name"
            )
        with packed(arguments, files) as (folder, there):
            command = ["python", "experiments/tune.py", *there, "--address", "auto"]
            return self._start(study, storage, command, folder)

    def parcel(self, study: str, folder: str) -> str:
        """What a folder of the cluster's head holds, in words (see `hearai.search.parcel`), carried by a job's log.

        Raises:
            UserError: the job failed; its last line says why.
        """
        with packed([], []) as (code, _):
            job = self._start(f"fetch-{study}", folder, ["python", "-m", "hearai.search.parcel", folder], code)
        self.wait(job)
        text = self.log(job)
        if self._told(lambda: self._client.get_job_info(job)).status.value != "SUCCEEDED":
            raise UserError(f"{folder} on the cluster: {(text.strip().splitlines() or ['the job failed'])[-1]}")
        self._told(lambda: self._client.delete_job(job))
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
        known = sorted({job.metadata[STUDY] for job in self.of() if not job.metadata[STUDY].startswith("fetch-")})
        raise UserError(f"{study}: no job of it on {self._address}; there are: {', '.join(known) or 'none'}")

    def log(self, job: str) -> str:
        """All that a job has printed so far."""
        return self._told(lambda: self._client.get_job_logs(job))

    def follow(self, job: str, say: Say) -> int:
        """Says what a job prints until it ends; its exit code (130 if it was stopped)."""
        shown = 0

        async def tail() -> None:
            nonlocal shown
            read = 0
            async for block in self._client.tail_job_logs(job):
                new = block[max(0, shown - read) :]  # a broken connection begins anew
                read += len(block)
                shown = max(shown, read)
                if new:
                    say(new)

        while self._status(job) not in ENDED:
            try:
                asyncio.run(tail())
            except (RuntimeError, OSError, requests.RequestException):
                pass  # the connection broke, or the job has not begun: the next look at its status tells
            time.sleep(0.5)
        if rest := self.log(job)[shown:]:
            say(rest)
        return self.exit_code(job)

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

    def exit_code(self, job: str) -> int:
        """Of an ended job: its driver's; 130 if it was stopped, 1 if its driver never said."""
        info = self._told(lambda: self._client.get_job_info(job))
        if info.status.value == "STOPPED":
            return 130
        return info.driver_exit_code if info.driver_exit_code is not None else int(info.status.value != "SUCCEEDED")

    def stop(self, job: str) -> None:
        """Ends a job as Ctrl-C does; trials that run are continued by the next one.

        Raises:
            UserError: it does not end.
        """
        self._told(lambda: self._client.stop_job(job))
        self.wait(job, PATIENCE_S + 30)

    def _status(self, job: str) -> str:
        return self._told(lambda: self._client.get_job_status(job)).value

    def _start(self, study: str, storage: str, command: Sequence[str], folder: Path) -> str:
        name = f"{study}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
        variables = {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(PATIENCE_S)}
        return self._told(
            lambda: self._client.submit_job(
                entrypoint=shlex.join(command),
                submission_id=name,
                runtime_env={"working_dir": str(folder), "env_vars": variables},
                metadata={STUDY: study, STORAGE: storage},
            )
        )

    def _told(self, ask: Callable[[], Any]) -> Any:
        """What the cluster answers.

        Raises:
            UserError: it does not, or refuses.
        """
        from ray.exceptions import AuthenticationError

        try:
            return ask()
        except AuthenticationError as error:
            raise UserError(f"{self._address}: {_why_not(str(error))}") from None
        except (ConnectionError, requests.RequestException, RuntimeError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0][:300]
            raise UserError(f"{self._address}: {first}; is this the dashboard of a Ray cluster?") from None


def _why_not(said: str) -> str:
    place = os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")
    known = "RAY_AUTH_TOKEN" in os.environ or Path(place).expanduser().is_file()
    if not known:
        return f"asks for a token, and there is none here; copy the cluster's into {place} (chmod 600)"
    return f"does not accept this token; copy the cluster's into {place} (chmod 600): it may have been changed"


@contextmanager
def packed(arguments: Sequence[str], files: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    """A folder with the code and the given files, and the arguments as they are right there."""
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="hearai-job-") as scratch:
        for name in CODE:
            shutil.copytree(root / name, Path(scratch) / name, ignore=shutil.ignore_patterns("__pycache__"))
        there = {}
        for number, file in enumerate(dict.fromkeys(files)):
            there[file] = f"given/{number}/{Path(file).name}"
            (Path(scratch) / there[file]).parent.mkdir(parents=True)
            shutil.copyfile(file, Path(scratch) / there[file])
        yield Path(scratch), [there.get(argument, argument) for argument in arguments]
