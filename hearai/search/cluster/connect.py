"""Connects to the Ray that runs the trials: one started on this machine, or an existing cluster."""

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray._private.services import canonicalize_bootstrap_address_or_die

from hearai.errors import UserError
from hearai.ray_auth import token_file
from hearai.search.cluster.dashboard import is_dashboard_up, require_token
from hearai.search.cluster.resources import Cluster, autoscaler_limits, node_resources

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its table every 30 s would interleave with our lines; see search/tune/callbacks.py
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the run folder is ours; see training/outputs/trackers.py
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # an interrupt leaves running trials RUNNING in the journal
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # Tune's own state is never restored: the journal is
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # the first report of a worker group is that it has started
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # a stopped run may be in the middle of writing its checkpoint
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",  # the dashboard's Train page
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # workers watch for preemption themselves: trial/preemption.py
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # tears a worker group down in 0.8 s instead of 5 s
}


def connect(address: str | None) -> Cluster:
    """Starts Ray on this machine, or joins the cluster at `address` ("auto" or HOST:PORT).

    Raises:
        UserError: there is no cluster at the address, or Ray did not start.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in ENVIRONMENT.items()})
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "ignore_reinit_error": True}
    if address is None:
        options |= {"include_dashboard": True, "object_store_memory": 256 * 2**20}
    try:
        if address is not None:
            options |= {"runtime_env": _runtime_env(canonicalize_bootstrap_address_or_die(address))}
        context = ray.init(address=address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        token = "" if address is None else f", and that {token_file()} holds its token if it requires one"
        raise UserError(
            f"--address {address or 'local'}: Ray did not start or answer ({reason}); check `ray status`{token}"
        ) from None
    url = f"http://{context.dashboard_url}" if context.dashboard_url else None
    if address is not None and url:
        require_token(url)
    return Cluster(
        node_resources(),
        url if url and is_dashboard_up(url) else None,
        is_shared=address is not None,
        growth=autoscaler_limits(),
    )


def _runtime_env(address: str) -> dict[str, Any]:
    """What the driver sends to the nodes: this package, which need not be installed there, and Ray's settings.

    address: of the cluster. The process that cleans up after a worker group otherwise looks for a Ray by itself, which
    fails on machines with a second Ray: the group's CPUs and GPUs were never released.

    A submitted job has already brought the code, see `hearai.search.cluster.jobs`.
    """
    variables = {key: os.environ[key] for key in ENVIRONMENT}
    runtime_env: dict[str, Any] = {"env_vars": {**variables, "RAY_ADDRESS": address}}
    if RAY_JOB_CONFIG_JSON_ENV_VAR not in os.environ:
        runtime_env["py_modules"] = [str(Path(__file__).parents[2])]
    return runtime_env


class RayConnection:
    """Connects in a thread, while this process pre-trains: starting Ray takes 8 s and more on two cores.

    The thread stays alive: Ray's processes are bound to the thread that started them and die with it.
    """

    def __init__(self, address: str | None):
        self.address = address
        self._owns_ray = not ray.is_initialized()
        self._outcome: Cluster | Exception | None = None
        self._done, self._never = threading.Event(), threading.Event()
        threading.Thread(target=self._connect, daemon=True).start()

    def _connect(self) -> None:
        try:
            self._outcome = connect(self.address)
        except Exception as error:  # noqa: BLE001  (raised again by join, in the caller's thread)
            self._outcome = error
        self._done.set()
        self._never.wait()

    def join(self) -> Cluster:
        """The cluster, as soon as it is connected.

        Raises:
            UserError: see `connect`.
        """
        self._done.wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def close(self) -> None:
        """Shuts Ray down if it was started here. Left to the interpreter's exit, Ray waits a minute for dead parts."""
        self._done.wait()
        if self._owns_ray:
            ray.shutdown()


def login_hint() -> str:
    """How to log in to the dashboard; also restricts the token file, which Ray writes with the umask, to its owner."""
    if os.environ.get("RAY_AUTH_TOKEN"):  # takes precedence over a file; KubeRay sets it
        return "log in with the token in RAY_AUTH_TOKEN"
    path = token_file()
    if path.is_file():
        _restrict_to_owner(path)
        return f"log in with the token in {path}"
    return "no token is set on this cluster"


def _restrict_to_owner(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        with suppress(OSError):  # a secret of Docker or Kubernetes is mounted read-only
            path.chmod(0o600)
