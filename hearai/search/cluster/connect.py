"""Where the trials run: a Ray of this machine's own, or a cluster that is already there."""

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
from hearai.search.cluster.dashboard import answers, refuse_open
from hearai.search.cluster.resources import Cluster, _growth, _machines

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # its table every 30 s ignores our lines; see hearai/search/tune/callbacks.py
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the run folder is ours; see hearai/training/outputs/trackers.py
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # an interrupt leaves running trials RUNNING in the journal
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # Tune's own state is never restored: the journal is
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # workers of a group first report that they have begun
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",  # a stopped run may be in the middle of writing its checkpoint
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",  # the dashboard's Train page
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # workers watch themselves: trial/preemption.py
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # tears a worker group down in 0.8 s instead of 5 s
}


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
            options |= {"runtime_env": _runtime_env(canonicalize_bootstrap_address_or_die(address))}
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


def _runtime_env(address: str) -> dict[str, Any]:
    """What goes to the nodes with a driver: this package, which need not be installed there, and how Ray behaves.

    address: of the cluster. What cleans up after a group of workers looks for it by itself, and fails where another Ray
    runs on the same machine: the group's CPUs and GPUs were never free again.

    A submitted job has brought the code already, see `hearai.search.cluster.jobs`.
    """
    variables = {key: os.environ[key] for key in ENVIRONMENT}
    baggage: dict[str, Any] = {"env_vars": {**variables, "RAY_ADDRESS": address}}
    if RAY_JOB_CONFIG_JSON_ENV_VAR not in os.environ:
        baggage["py_modules"] = [str(Path(__file__).parents[2])]
    return baggage


class RayConnection:
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
