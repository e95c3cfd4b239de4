"""Where the trials run: a Ray of this machine's own, or a cluster that is already there."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import ray

from hearai.errors import ConfigError, UserError

log = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class Cluster:
    """What there is."""

    cpus: float
    gpus: float
    dashboard: str | None
    """http address of the dashboard."""

    def slots(self, per_trial: PerTrial, at_most: int | None = None) -> int:
        """How many trials run at once.

        Raises:
            ConfigError: not even one ever fits.
        """
        need_cpu, need_gpu = per_trial.cpus * per_trial.workers, per_trial.gpus * per_trial.workers
        fits = int(self.cpus / need_cpu + 1e-6)
        if need_gpu:
            fits = min(fits, int(self.gpus / need_gpu + 1e-6))
        if fits < 1:
            raise ConfigError(
                f"a trial needs {need_cpu:g} CPUs and {need_gpu:g} GPUs, the cluster has {self.cpus:g} CPUs and "
                f"{self.gpus:g} GPUs; lower --workers-per-trial, --cpus-per-trial or --gpus-per-trial"
            )
        return min(fits, at_most or fits)


def connect(address: str | None) -> Cluster:
    """Starts Ray on this machine, or joins the cluster at `address` ("auto" or HOST:PORT).

    Raises:
        UserError: there is no cluster at the address, or the dashboard did not start.
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
    resources = ray.cluster_resources()
    url = f"http://{context.dashboard_url}" if context.dashboard_url else None
    return Cluster(resources.get("CPU", 0), resources.get("GPU", 0), url)


def login_hint() -> str:
    """How to get into the dashboard; tightens the token file, which Ray writes with the umask."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    if path.is_file():
        path.chmod(0o600)
        return f"log in with the token in {path}"
    return "no token is set on this cluster"
