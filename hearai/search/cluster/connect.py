"""Connects to the Ray that runs the trials: one started on this machine, or an existing cluster."""

import atexit
import logging
import os
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private import services
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray.job_config import JobConfig

from hearai.cli import BAD_INPUT, INTERRUPTED, Print
from hearai.cli.ray_auth import ensure_token, protect_token, token_file
from hearai.errors import UserError
from hearai.files import PACKAGE, package_for_children
from hearai.search.cluster.addresses import bypass_proxy, require_loopback, resolve_address
from hearai.search.cluster.code_bundle import own_code_for_nodes
from hearai.search.cluster.dashboard import JOB_NAME_KEY, is_dashboard_up, require_token
from hearai.search.cluster.local_ray.machine_limits import low_limits
from hearai.search.cluster.local_ray.session_folder import choose_session_folder, short_tmpdir
from hearai.search.cluster.memory import NEEDED_GB, memory_note, usable_memory
from hearai.search.cluster.resources import Cluster, autoscaler_limits, node_resources
from hearai.threads import hangups_blocked, interrupts_held

log = logging.getLogger(__name__)

START_TIMEOUT_S = 90.0
"""How long one attempt waits until Ray's node has registered."""
ATTEMPT_LIMIT_S = 300.0
"""How long one attempt may take. Ray has no limit for some of its steps."""
CANCEL_S = 5.0
"""How long an attempt that is cancelled may take to end."""
POLL_S = 0.2
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else the driver waits without end, and holds Python's interpreter lock, for workers that are killed as they start.
    "RAY_prestart_worker_first_driver": "0",
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


def check_connection(address: str | None) -> None:
    """Checks within seconds what `connect` needs, before anything is computed or written.

    Raises:
        UserError: no cluster answers at the address; or Ray cannot start here: no folder for its sockets, no token, no
            loopback network.
    """
    bypass_proxy()
    if address is not None:
        protect_token()
        resolve_address(address)
    elif not ray.is_initialized():
        require_loopback()
        ensure_token()
        choose_session_folder()


def connect(address: str | None, cancelled: threading.Event | None = None, name: str | None = None) -> Cluster:
    """Starts Ray on this machine, or joins the cluster at `address` ("auto" or HOST:PORT).

    Args:
        cancelled: set, from another thread, to end the wait for a start.
        name: what Ray's dashboard shows for this process among its jobs; a submitted job has its own.

    Raises:
        SlowStart: Ray did not start in time; another attempt may succeed.
        UserError: there is no cluster at the address, or Ray did not start.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in ENVIRONMENT.items()})
    check_connection(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "ignore_reinit_error": True}
    if address is None:
        options |= {"include_dashboard": True, "object_store_memory": 256 * 2**20}
    if name is not None and RAY_JOB_CONFIG_JSON_ENV_VAR not in os.environ:
        options |= {"job_config": JobConfig(metadata={JOB_NAME_KEY: name})}
    logging.getLogger("ray._private.services").setLevel(logging.CRITICAL)  # the message below has the reason
    try:
        with (
            _patient(cancelled or threading.Event()) if address is None else nullcontext(),
            hangups_blocked(),
            package_for_children(),
            own_code_for_nodes() as own_code,
        ):
            if address is not None:
                options |= {"runtime_env": _runtime_env(own_code)}
            context = ray.init(address=address or "local", **options)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  (Ray raises plain ones, such as "timed out during startup")
        raise _start_error(address, error) from None
    url = f"http://{context.dashboard_url}" if context.dashboard_url else None
    if address is not None and url:
        bypass_proxy([urllib.parse.urlsplit(url).hostname or ""])
        require_token(url)
    return Cluster(
        node_resources(),
        url if url and is_dashboard_up(url) else None,
        is_shared=address is not None,
        growth=autoscaler_limits(),
    )


class SlowStart(UserError):
    """Ray did not start in time; another attempt may succeed."""


def _start_error(address: str | None, error: Exception) -> UserError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    reason = lines[-1 if lines[0].endswith(":") else 0]  # a log follows the colon
    reason = reason.partition(" It is unexpected.")[0].rstrip(".")  # and please report it to Ray
    if address is None:
        low = low_limits(_logs_folder())
        found = f", which has {', '.join(low)}" if low else ""
        todo = "On a loaded machine, run the same command again when it has less to do"
        if low:
            todo = "Ray needs more: raise the limit, or free space"
        return SlowStart(f"Ray did not start on this machine{found} ({reason}); {_logs_hint()}. {todo}")
    return UserError(
        f"--address {address}: Ray did not answer ({reason}); check `ray status`, and that {token_file()} holds the "
        "cluster's token if it requires one"
    )


def _logs_folder() -> Path:
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray"


def _logs_hint() -> str:
    return f"its logs are in {_logs_folder()}/session_latest/logs"


def _no_end_error(address: str | None) -> UserError:
    """For an attempt that has reached its limit."""
    if address is not None:
        return _start_error(address, TimeoutError(f"no end within {ATTEMPT_LIMIT_S:g} s"))
    return UserError(
        f"Ray did not start on this machine within {ATTEMPT_LIMIT_S:g} s; {_logs_hint()}. Possible causes: too little "
        f"memory ({usable_memory() / 1e9:.1f} GB may be used here; a small search needs about {NEEDED_GB:g} GB), a "
        "machine that is overloaded, or a blocked loopback network"
    )


@contextmanager
def _patient(cancelled: threading.Event) -> Iterator[None]:
    """For starts of Ray on this machine: waits longer than its 30 s, which a loaded machine exceeds."""
    get_node = services.get_node
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", f"{START_TIMEOUT_S:.0f}")

    def wait_for_node(gcs_address: str, node_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return get_node(gcs_address, node_id)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            if cancelled.wait(POLL_S):
                raise UserError("the start of Ray was cancelled")

    services.get_node = wait_for_node
    try:
        with short_tmpdir():
            yield
    finally:
        services.get_node = get_node


def _runtime_env(own_code: Mapping[str, Any]) -> dict[str, Any]:
    """What the driver sends to the nodes: this package, which need not be installed there, and Ray's settings.

    A submitted job has already brought the code, see `hearai.search.cluster.jobs`.

    Args:
        own_code: `own_code_for_nodes`, the user's own.
    """
    settings = {key: os.environ[key] for key in ENVIRONMENT}
    modules = [str(PACKAGE)] if RAY_JOB_CONFIG_JSON_ENV_VAR not in os.environ else []
    modules += own_code.get("py_modules", [])
    runtime_env: dict[str, Any] = {"env_vars": {**settings, **own_code.get("env_vars", {})}}
    return runtime_env | ({"py_modules": modules} if modules else {})


class RayConnection:
    """A connection that is made in a thread and lasts until `close`.

    The thread stays alive: Ray's processes are bound to the thread that started them and die with it. This also ends
    those of an attempt that failed.
    """

    def __init__(self, address: str | None, name: str | None = None):
        """name: see `connect`."""
        self.address, self._name = address, name
        self._owns_ray, self._is_closed = not ray.is_initialized(), False
        self._attempt = _Attempt(address, name)

    def join(self, print_line: Print = log.info) -> Cluster:
        """The cluster, as soon as it is connected. A start that takes too long is tried once more.

        Raises:
            UserError: see `connect`; or the attempt did not end within its limit. The connection is then closed, as it
                is where the wait is interrupted.
        """
        try:
            return self._join(print_line)
        except BaseException:
            self.close()
            raise

    def _join(self, print_line: Print) -> Cluster:
        if self._owns_ray and self.address is None and (note := memory_note()):
            print_line(note)
        try:
            return self._attempt.result()
        except SlowStart as error:
            print_line(f"{error.problems[0].partition(';')[0]}; trying once more")
        if self._owns_ray:
            ray.shutdown()  # forgets what the failed attempt has set
        self._attempt.end()
        self._attempt = _Attempt(self.address, self._name)
        return self._attempt.result()

    def close(self) -> None:
        """Shuts Ray down if it was started here. Left to the interpreter's exit, Ray waits a minute for dead parts."""
        if self._is_closed:
            return
        self._is_closed = True
        with interrupts_held():  # a second Ctrl-C would leave processes of Ray behind
            if not self._attempt.cancel():
                atexit.register(_leave, self._attempt, sys.exc_info()[0])
            elif self._owns_ray:
                ray.shutdown()
            self._attempt.end()


class _Attempt:
    """One attempt at a connection, in a thread of its own."""

    def __init__(self, address: str | None, name: str | None):
        self._address, self._is_given_up = address, False
        self._outcome: Cluster | Exception | None = None
        self._done, self._cancelled, self._ended = threading.Event(), threading.Event(), threading.Event()
        threading.Thread(target=self._connect, args=(address, name), daemon=True).start()

    def _connect(self, address: str | None, name: str | None) -> None:
        try:
            self._outcome = connect(address, self._cancelled, name)
        except Exception as error:  # noqa: BLE001  (raised again by result, in the caller's thread)
            self._outcome = error
        self._done.set()
        if isinstance(self._outcome, Cluster):
            if self._is_given_up:
                ray.shutdown()  # before its processes end with this thread
            self._ended.wait()

    @property
    def is_done(self) -> bool:
        """Whether it has ended, with a connection or an error."""
        return self._done.is_set()

    def cancel(self) -> bool:
        """Ends the attempt, or waits for its end where it is close; a connection that exists is kept.

        Returns:
            Whether it has ended. A step of Ray's without a limit cannot be ended.
        """
        self._cancelled.set()
        self._is_given_up = not self._done.wait(CANCEL_S)
        return not self._is_given_up

    def end(self) -> None:
        """Ends the thread, to which Ray's processes are bound."""
        self._ended.set()

    def result(self) -> Cluster:
        """The connection.

        Raises:
            UserError: see `connect`; or there is none within `ATTEMPT_LIMIT_S`.
        """
        if not self._done.wait(ATTEMPT_LIMIT_S):
            raise _no_end_error(self._address)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome


def _leave(attempt: _Attempt, error: type[BaseException] | None) -> None:
    """At the exit of the interpreter, ends a process in which an attempt has not ended.

    Ray's own handlers would wait for it, or change the exit code. The kernel then ends Ray's processes, which are bound
    to its thread.

    Args:
        error: because of which the attempt was given up.
    """
    if attempt.is_done:
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(INTERRUPTED if error is KeyboardInterrupt else BAD_INPUT)


def login_hint() -> str:
    """How to log in to the dashboard."""
    if os.environ.get("RAY_AUTH_TOKEN"):  # takes precedence over a file; KubeRay sets it
        return "log in with the token in RAY_AUTH_TOKEN"
    protect_token()
    path = token_file()
    return f"log in with the token in {path}" if path.is_file() else "no token is set on this cluster"
