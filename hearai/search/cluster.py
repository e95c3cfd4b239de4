"""Where the trials run: a Ray of this machine's own, or a cluster that is already there."""

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._private.state import state

from hearai.errors import ConfigError, UserError
from hearai.ray_token import token_file
from hearai.search.ray_dashboard import answers, refuse_open

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its table every 30 s ignores our lines; see hearai/search/live.py
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the run folder is ours; see hearai/training/trackers.py
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # an interrupt leaves running trials RUNNING in the journal
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # Tune's own state is never restored: the journal is
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # workers of a group first report that they have begun
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # a stopped run may be in the middle of writing its checkpoint
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",  # the dashboard's Train page
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # workers look for notices themselves; see hearai/search/drain.py
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # tears a worker group down in 0.8 s instead of 5 s
}


class NoRoom(ConfigError):
    """A cluster can never carry a trial."""


@dataclass(frozen=True)
class PerTrial:
    """What one trial asks for."""

    workers: int = 1
    cpus: float = 1
    """Per worker."""
    gpus: float = 0
    """Per worker; a fraction only with one worker."""

    def __str__(self) -> str:
        room = some(self.cpus, "CPU")
        if self.gpus:
            room += f", {some(self.gpus, 'GPU')}"
        return f"{self.workers} x ({room})" if self.workers > 1 else room

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
    is_shared: bool = False
    """Whether it was there before this search, and others may be on it."""
    growth: Sequence[tuple[float, float]] = ()
    """(CPUs, GPUs) of each machine that an autoscaler may have in the end; none without one."""

    def __str__(self) -> str:
        now = _room(self.cpus, self.gpus)
        if len(self.nodes) > 1:
            now += f" on {len(self.nodes)} nodes"
        most = _room(sum(cpus for cpus, _ in self.growth), sum(gpus for _, gpus in self.growth))
        return f"{now} (grows to {most})" if self.growth else now

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
            NoRoom: not even one ever fits.
            ConfigError: it asks for what cannot work.
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
        machines = [*self.growth] or [*self.nodes]
        fits = sum(per_trial.workers_on(cpus, gpus) for cpus, gpus in machines) // per_trial.workers
        if fits < 1:
            need = f"{per_trial.workers} x ({_room(per_trial.cpus, per_trial.gpus)})"
            raise NoRoom(
                f"a trial needs {need}, the cluster has {_counted(machines)}; lower --workers-per-trial, "
                "--cpus-per-trial or --gpus-per-trial"
            )
        return min(fits, at_most or fits)


def some(number: float, noun: str) -> str:
    """`1 CPU`, `2 CPUs`."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def _room(cpus: float, gpus: float) -> str:
    return f"{some(cpus, 'CPU')}, {some(gpus, 'GPU')}"


def _counted(machines: Sequence[tuple[float, float]]) -> str:
    """`2 x (4 CPUs, 1 GPU) + (8 CPUs, 0 GPUs)`."""
    kinds = Counter(machines)
    return " + ".join(f"{f'{count} x ' if count > 1 else ''}({_room(*kind)})" for kind, count in kinds.items())


PATIENCE_S = 25.0
"""How long nodes may take to join a cluster that has no room for a trial yet."""


def wait_for_room(cluster: Cluster, per_trial: PerTrial, at_most: int | None) -> tuple[Cluster, int]:
    """The cluster as soon as a trial fits, and how many run at once.

    Raises:
        NoRoom: after half a minute not even one fits.
        ConfigError: it asks for what cannot work.
    """
    until = time.monotonic() + (PATIENCE_S if cluster.is_shared else 0)
    while True:
        try:
            return cluster, cluster.slots(per_trial, at_most)
        except NoRoom:
            if time.monotonic() > until:
                raise
        time.sleep(1)
        cluster = replace(cluster, nodes=_machines(), growth=_growth())


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
        if address is not None:
            options |= {"runtime_env": _baggage(canonicalize_bootstrap_address_or_die(address))}
        context = ray.init(address=address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        token = "" if address is None else f", and that {token_file()} holds its token if it asks for one"
        raise UserError(
            f"--address {address or 'local'}: Ray did not start or answer ({first}); check `ray status`{token}"
        ) from None
    url = f"http://{context.dashboard_url}" if context.dashboard_url else None
    if address is not None and url:
        refuse_open(url)
    return Cluster(_machines(), url if url and answers(url) else None, is_shared=address is not None, growth=_growth())


def _machines() -> list[tuple[float, float]]:
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(machine.get("CPU", 0), machine.get("GPU", 0)) for machine in machines]


def _growth() -> list[tuple[float, float]]:
    """The machines that an autoscaler may start, as it has told Ray; not public, as nothing public says it."""
    config = state.get_cluster_config()
    kinds = config.node_group_configs if config else ()
    return [
        (kind.resources.get("CPU", 0), kind.resources.get("GPU", 0))
        for kind in kinds
        for _ in range(min(kind.max_count, MANY) if kind.max_count >= 0 else MANY)
    ]


MANY = 1000
"""Machines of a kind that has no limit."""


def _baggage(address: str) -> dict[str, Any]:
    """What goes to the nodes with a driver: this package, which need not be installed there, and how Ray behaves.

    address: of the cluster. What cleans up after a group of workers looks for it by itself, and fails where another Ray
    runs on the same machine: the group's CPUs and GPUs were never free again.

    A submitted job has brought the code already, see `hearai.search.jobs`.
    """
    variables = {key: os.environ[key] for key in ENVIRONMENT}
    baggage: dict[str, Any] = {"env_vars": {**variables, "RAY_ADDRESS": address}}
    if RAY_JOB_CONFIG_JSON_ENV_VAR not in os.environ:
        baggage["py_modules"] = [str(Path(__file__).parents[1])]
    return baggage


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
    if os.environ.get("RAY_AUTH_TOKEN"):  # goes before a file; KubeRay gives it so
        return "log in with the token in RAY_AUTH_TOKEN"
    path = token_file()
    if path.is_file():
        _keep_to_its_owner(path)
        return f"log in with the token in {path}"
    return "no token is set on this cluster"


def _keep_to_its_owner(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        with suppress(OSError):  # a secret of Docker or Kubernetes is mounted to be read, and is not ours to change
            path.chmod(0o600)
