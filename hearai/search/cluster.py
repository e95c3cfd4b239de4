"""Where the trials run: a Ray of this machine's own, or a cluster that is already there."""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ray

from hearai.errors import ConfigError, UserError

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its table every 30 s ignores our lines; see hearai/search/live.py
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the run folder is ours; see hearai/training/trackers.py
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # an interrupt leaves running trials RUNNING in the journal
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # Tune's own state is never restored: the journal is
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # a stopped run may be in the middle of writing its checkpoint
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",  # the dashboard's Train page
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # tears a worker group down in 0.8 s instead of 5 s
}


@dataclass(frozen=True)
class PerTrial:
    """What one trial asks for."""

    workers: int = 1
    cpus: float = 1
    """Per worker."""
    gpus: float = 0
    """Per worker; a fraction only with one worker."""

    @property
    def threads(self) -> int:
        """torch's threads in each worker: as many as CPUs, or trials would fight over the cores."""
        return max(1, int(self.cpus))

    def workers_on(self, cpus: float, gpus: float) -> int:
        """How many workers a machine has room for."""
        room = cpus / self.cpus
        if self.gpus:
            room = min(room, gpus / self.gpus)
        return int(room + 1e-6)


@dataclass(frozen=True)
class Cluster:
    """What there is."""

    nodes: Sequence[tuple[float, float]]
    """(CPUs, GPUs) of each machine."""
    dashboard: str | None
    """http address of the dashboard."""

    @property
    def cpus(self) -> float:
        """Of all machines."""
        return sum(cpus for cpus, _ in self.nodes)

    @property
    def gpus(self) -> float:
        """Of all machines."""
        return sum(gpus for _, gpus in self.nodes)

    def slots(self, per_trial: PerTrial, at_most: int | None = None) -> int:
        """How many trials run at once.

        Raises:
            ConfigError: not even one ever fits, or it asks for what cannot work.
        """
        if per_trial.workers > 1 and per_trial.gpus % 1:
            raise ConfigError(
                f"--gpus-per-trial {per_trial.gpus:g} with --workers-per-trial {per_trial.workers}: two workers cannot "
                "share a GPU; give a whole number"
            )
        if per_trial.workers > 1 and not self.dashboard:
            raise ConfigError(
                "--workers-per-trial: Ray's dashboard is not running, without which stopped groups keep their "
                "GPUs; start the cluster with it (pip install 'ray[default]')"
            )
        fits = sum(per_trial.workers_on(cpus, gpus) for cpus, gpus in self.nodes) // per_trial.workers
        if fits < 1:
            need = f"{per_trial.workers} x ({per_trial.cpus:g} CPUs, {per_trial.gpus:g} GPUs)"
            machines = " + ".join(f"({cpus:g} CPUs, {gpus:g} GPUs)" for cpus, gpus in self.nodes)
            raise ConfigError(
                f"a trial needs {need}, the cluster has {machines}; lower --workers-per-trial, --cpus-per-trial or "
                "--gpus-per-trial"
            )
        return min(fits, at_most or fits)


def connect(address: str | None) -> Cluster:
    """Starts Ray on this machine, or joins the cluster at `address` ("auto" or HOST:PORT).

    Raises:
        UserError: there is no cluster at the address, or Ray did not start.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in ENVIRONMENT.items()})
    options = {"log_to_driver": False, "logging_level": logging.ERROR, "ignore_reinit_error": True}
    if address is None:
        options |= {"include_dashboard": True, "object_store_memory": 256 * 2**20}
    try:
        context = ray.init(address=address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"--address {address or 'local'}: Ray did not start or answer ({first}); check `ray status`"
        ) from None
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    url = f"http://{context.dashboard_url}" if context.dashboard_url else None
    return Cluster([(machine.get("CPU", 0), machine.get("GPU", 0)) for machine in machines], url)


class Connecting:
    """Ray starts (8 s and more on two cores) in a thread, while this process pre-trains.

    The thread lives on: Ray's processes are bound to the thread that started them and die with it.
    """

    def __init__(self, address: str | None):
        self.address = address
        self._ours = not ray.is_initialized()
        self._outcome: Cluster | Exception | None = None
        self._answered, self._never = threading.Event(), threading.Event()
        threading.Thread(target=self._connect, daemon=True).start()

    def _connect(self) -> None:
        try:
            self._outcome = connect(self.address)
        except Exception as error:  # noqa: BLE001  (raised again by join, in the caller's thread)
            self._outcome = error
        self._answered.set()
        self._never.wait()

    def join(self) -> Cluster:
        self._answered.wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def close(self) -> None:
        """Ends what was started here. Left to the interpreter's exit, Ray waits a minute for its dead parts."""
        self._answered.wait()
        if self._ours:
            ray.shutdown()


def login_hint() -> str:
    """How to get into the dashboard; tightens the token file, which Ray writes with the umask."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    if path.is_file():
        path.chmod(0o600)
        return f"log in with the token in {path}"
    return "no token is set on this cluster"
