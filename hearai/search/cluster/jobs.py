"""Searches as jobs of a Ray cluster, found again by the name of their study.

Why this layer over Ray's Jobs API, instead of `ray job submit`:

- `ray job submit` exits with 1 for every failure; `Jobs.outcome` is the driver's exit code (2, 3, 130, 128 + signal).
- Its log output ends when the connection breaks (a tunnel, a sleeping laptop); `LogFollower` reconnects.
- By default it kills a stopped job after 3 s; a search needs longer to shut its trials down.
- It finds jobs by submission id; users know their study's name, and one study must not be searched twice at once.

The token is sent in a request header and nowhere else. Credentials of an object store belong on the cluster's nodes:
the environment that a job is submitted with can be read in the dashboard.
"""

import asyncio
import shlex
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearai.cli import Print
from hearai.errors import UserError
from hearai.search.cluster.code_bundle import bundle_code
from hearai.search.cluster.dashboard import JOB_NAME_KEY
from hearai.search.cluster.job_client import JobClient, relevant_line, retry_through_outage
from hearai.search.storage.layout import JOB

STUDY_KEY, STORAGE_KEY = "hearai_study", "hearai_storage"
"""Keys of a job's metadata."""
STOP_TIMEOUT_S = 90
"""How long a stopped search may take to shut down before it is killed."""
LOG_SILENCE_S = 60
"""After this long without output the log is requested again: a dead connection may go unnoticed."""
MONITOR_S = 3
"""Ray checks every job each second; if a job is deleted between two checks, Ray lists it again as failed."""
POLL_S = 0.5
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class Job:
    """A search that was submitted to the cluster."""

    id: str
    study: str
    storage: str
    """The value of --storage."""
    status: str
    started: float
    """Unix time in seconds."""
    ended: float | None

    @property
    def is_running(self) -> bool:
        return self.status not in ENDED


class Jobs:
    """The searches of one cluster.

    address: http(s)://HOST:PORT of its dashboard.

    Raises:
        UserError: no dashboard answers there, the token is missing or wrong, or the dashboard is open to the network.
    """

    def __init__(self, address: str):
        self._client = JobClient(address)

    def submit(self, study: str, storage: str, arguments: Sequence[str]) -> str:
        """Starts `tune.py` with these arguments on the cluster's head; returns the job's id.

        Local files that the arguments name are sent as well, see `bundle_code`.

        Raises:
            UserError: the study is already being searched there, or the cluster refuses.
        """
        if running := [job for job in self.find(study) if job.is_running]:
            raise UserError(
                f"{study}: job {running[0].id} is already searching; follow it with submit.py logs {study} --follow, "
                f"stop it with submit.py stop {study}, or give another --name"
            )
        with bundle_code(arguments) as (folder, bundled):
            command = ["python", "experiments/tune.py", *bundled, "--address", "auto"]
            return self.start(study, command, folder, {STUDY_KEY: study, STORAGE_KEY: storage})

    def pack_folder(self, study: str, folder: str) -> str:
        """A folder on the cluster's head as text in a job's log, see `hearai.search.cluster.results_bundle`.

        Raises:
            UserError: the job failed; its last line says why.
        """
        with bundle_code([]) as (code, _):
            command = ["python", "-m", "hearai.search.cluster.results_bundle", folder]
            job = self.start(f"fetch-{study}", command, code, {})
        self.wait(job)
        text, succeeded = self.log(job), self.status(job) == "SUCCEEDED"
        time.sleep(MONITOR_S)
        self._client.call(lambda client: client.delete_job(job))
        if not succeeded:
            raise UserError(f"on the cluster: {(text.strip().splitlines() or ['the job failed'])[-1]}")
        return text

    def find(self, study: str | None = None) -> list[Job]:
        """The jobs of a study (None = of all studies), the latest first."""
        jobs = [
            Job(
                id=info.submission_id,
                study=info.metadata[STUDY_KEY],
                storage=info.metadata.get(STORAGE_KEY, ""),
                status=info.status.value,
                started=(info.start_time or 0) / 1e3,
                ended=info.end_time / 1e3 if info.end_time else None,
            )
            for info in self._client.call(lambda client: client.list_jobs())
            if info.submission_id and info.metadata and info.metadata.get(STUDY_KEY)
        ]
        return sorted((job for job in jobs if study in (None, job.study)), key=lambda job: -job.started)

    def latest(self, study: str) -> Job:
        """A study's last job.

        Raises:
            UserError: there is none.
        """
        jobs = self.find()
        if found := [job for job in jobs if job.study == study]:
            return found[0]
        known = ", ".join(sorted({job.study for job in jobs})) or "none"
        raise UserError(f"{study}: no job of this study on {self._client.address}; known studies: {known}")

    def status(self, job: str) -> str:
        """`RUNNING`, `SUCCEEDED`, ...: see Ray's JobStatus."""
        return self._client.call(lambda client: client.get_job_status(job)).value

    def log(self, job: str) -> str:
        """Everything that a job has printed so far."""
        return self._client.call(lambda client: client.get_job_logs(job))

    def follow(self, job: str, print_text: Print) -> int:
        """Prints a job's output until it ends, each character once, over any number of connections; its exit code.

        Raises:
            UserError: the cluster is unreachable for two minutes.
        """
        import aiohttp

        follower = LogFollower(lambda: self._client.call(lambda client: client.tail_job_logs(job)), print_text)
        while retry_through_outage(lambda: self.status(job)) not in ENDED:
            try:
                asyncio.run(follower.print_until_disconnected())
            except (RuntimeError, OSError, aiohttp.ClientError):
                pass  # the connection broke, or the job has not started: its status decides
            time.sleep(POLL_S)
        follower.print_rest(retry_through_outage(lambda: self.log(job)))
        code, reason = retry_through_outage(lambda: self.outcome(job))
        if reason:
            print_text(f"{reason}\n")
        return code

    def wait(self, job: str, seconds: float = 600) -> None:
        """Returns when the job has ended.

        Raises:
            UserError: it has not within this time.
        """
        deadline = time.monotonic() + seconds
        while self.status(job) not in ENDED:
            if time.monotonic() > deadline:
                raise UserError(f"job {job} has not ended after {seconds:g} s")
            time.sleep(POLL_S)

    def outcome(self, job: str) -> tuple[int, str]:
        """(exit code of an ended job's driver, the reason if its log does not have it).

        130 if it was stopped; 128 + a signal that killed it; 1 if it never started.
        """
        info = self._client.call(lambda client: client.get_job_info(job))
        code = info.driver_exit_code
        if info.status.value == "STOPPED":
            return 130, ""
        if code is None:
            reason = relevant_line(info.message or "how it ended is unknown")
            return int(info.status.value != "SUCCEEDED"), f"job {job}: {reason}"
        if code < 0 or code >= 137:  # Ray reports -9 for the shell, the shell 128 + 9 for its child
            signal = -code if code < 0 else code - 128
            return 128 + signal, f"job {job}: killed by signal {signal}; the same submit.py tune command continues it"
        return code, ""

    def stop(self, job: str) -> bool:
        """Stops a job as Ctrl-C does: the next one continues its trials. False if it had already ended.

        Raises:
            UserError: it does not end.
        """
        if self.status(job) in ENDED:
            return False
        self._client.call(lambda client: client.stop_job(job))
        self.wait(job, STOP_TIMEOUT_S + 30)
        return self.status(job) == "STOPPED"

    def start(self, name: str, command: Sequence[str], folder: Path, metadata: dict[str, str]) -> str:
        """Starts a command in a copy of the folder on the cluster's head; returns the job's id."""
        job = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
        variables = {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_TIMEOUT_S), JOB: job}
        return self._client.call(
            lambda client: client.submit_job(
                entrypoint=shlex.join(command),
                submission_id=job,
                runtime_env={"working_dir": str(folder), "env_vars": variables},
                metadata={JOB_NAME_KEY: name, **metadata},
            )
        )


class LogFollower:
    """Prints a log that is read over several connections, each of which starts at the log's beginning."""

    def __init__(self, connect: Callable[[], AsyncIterator[str]], print_text: Print):
        self._connect, self._print_text = connect, print_text
        self._printed = 0

    async def print_until_disconnected(self) -> None:
        received, blocks = 0, self._connect()
        while block := await asyncio.wait_for(anext(blocks, ""), LOG_SILENCE_S):
            new = block[max(0, self._printed - received) :]
            received += len(block)
            self._printed = max(self._printed, received)
            if new:
                self._print_text(new)

    def print_rest(self, log: str) -> None:
        """Prints the part of the complete log that has not been printed yet."""
        if rest := log[self._printed :]:
            self._print_text(rest)
